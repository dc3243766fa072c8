namespace Cnvm.Virtio.Block;

/// <summary>What a block image is asked to do.</summary>
public enum BlockOperation
{
    Read,
    Write,

    /// <summary>Everything completed before is on stable storage when this completes.</summary>
    Flush,

    /// <summary>The range's contents are not needed any more.</summary>
    Discard,

    /// <summary>The range reads as zeroes; it stays allocated where the image can do that.</summary>
    WriteZeroes,

    /// <summary>The range reads as zeroes; its space may be given back.</summary>
    WriteZeroesUnmap,
}
