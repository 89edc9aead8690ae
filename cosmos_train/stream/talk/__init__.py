"""Pictures and turns of talk about them: CuMo's batches, from LLaVA's format or our own documents."""
