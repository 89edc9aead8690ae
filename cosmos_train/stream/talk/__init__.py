"""Pictures and conversations about them: CuMo's batches, from LLaVA's format or our own documents."""
