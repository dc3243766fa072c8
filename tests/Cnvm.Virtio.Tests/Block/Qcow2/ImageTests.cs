namespace Cnvm.Virtio.Tests.Block.Qcow2;

/// <summary>
/// Tests that start QEMU's programs run alone: until a new process has begun its program it holds all open files of this one, and with
/// them the locks on disks that other tests close and open again.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class ImageTests
{
    public const string Name = nameof(ImageTests);
}
