namespace Cnvm.Virtio.Block.Qcow2;

/// <summary>Where the bytes of a stretch of a disk are.</summary>
internal enum ExtentKind
{
    /// <summary>In the backing file; zero where there is none.</summary>
    Backing,

    /// <summary>Nowhere: they are zero.</summary>
    Zero,

    /// <summary>Zero, with clusters that are kept for them.</summary>
    ZeroKept,

    /// <summary>In the image's file.</summary>
    Data,

    /// <summary>In one compressed cluster.</summary>
    Compressed,
}
