"""From tar shards to batches: a fixed order of samples, whose whole state is a few integers.

For the loop (all of it in cosmos_train.stream.stream, but `digest` in cosmos_train.stream.batch):
    data = open_data(recipe.data)    # .signature, .texts() (to train a tokenizer), .documents, .samples (an epoch)
    stream = open_stream(recipe, tokenizer, data, rank=0, world_size=1, state=None)
    batch = stream.next()            # this rank's rows of one global batch of train.batch_size rows
    stream.state                     # StreamState: what has been given out; .to_dict() / StreamState.from_dict()
    stream.epoch                     # how many epochs that is
    stream.types                     # number of data types (sources): gradient accumulation of a round robin
    stream.exposure()                # planned and realised samples, tokens and images of each source
    digest(batch_of_rank_0, ...)     # equals that of the same global batch on any other number of ranks
A global batch has the same content and order for any world size that divides it, and is of one source. Raises UserError
when too many samples are bad, and (with workers) when a batch takes longer than data.stall_seconds, naming the shard.
"""
