"""From tar shards to batches: a fixed order of samples, with a state of a few integers.

For the loop (all of it in cosmos_train.stream.stream, but `digest` in cosmos_train.stream.batch):
    data = open_data(recipe.data)    # .signature, .texts() (to train a tokenizer), .documents, .samples (an epoch)
    stream = open_stream(recipe, tokenizer, data, rank=0, world_size=1, state=None)
    batch = stream.next()            # this rank's rows of one global batch of train.batch_size rows
    stream.state                     # StreamState: position of the stream; .to_dict() / StreamState.from_dict()
    stream.epoch                     # number of epochs at that position
    stream.types                     # number of data types (sources): gradient accumulation of a round robin
    stream.exposure()                # planned and realised samples, tokens and images of each source
    digest(batch_of_rank_0, ...)     # equals that of the same global batch on any other number of ranks
A global batch has the same content and order for any world size that divides it, and comes from one source. Raises
UserError if too many samples are bad, and (with workers) if a batch takes longer than data.stall_seconds, naming the
shard.
"""
