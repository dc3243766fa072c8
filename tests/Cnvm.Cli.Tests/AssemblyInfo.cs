// Tests start processes and set no environment of their own process; one after the other they stay within their times on a small machine.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
