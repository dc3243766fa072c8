namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>What becomes of clusters that are to be zero.</summary>
internal enum ZeroMode
{
    /// <summary>They stay the disk's.</summary>
    Keep,

    /// <summary>They are given up.</summary>
    Free,

    /// <summary>They are given up; where that is not possible, nothing happens.</summary>
    Discard,
}
