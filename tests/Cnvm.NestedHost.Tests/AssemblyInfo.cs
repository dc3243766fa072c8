// Each host has processors of its own to emulate; side by side they only wait for each other.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
