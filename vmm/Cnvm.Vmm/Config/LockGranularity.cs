namespace Cnvm.Vmm.Config;

/// <summary>What of a disk image is locked against other users.</summary>
public enum LockGranularity
{
    ByteRange,
    Full,
}
