// All guests share one nested host, whose processors are emulated: side by side they would only wait for each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
