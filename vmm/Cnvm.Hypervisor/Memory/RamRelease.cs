namespace Cnvm.Hypervisor.Memory;

/// <summary>How a region's pages are given back to the host; afterwards they read as zero.</summary>
public enum RamRelease
{
    /// <summary>Private anonymous memory: the pages are dropped.</summary>
    Drop,

    /// <summary>A memory file mapped shared: a hole is punched into the file.</summary>
    PunchHole,

    /// <summary>A private mapping of a file, whose old bytes would come back: fresh anonymous memory takes the place of the pages.</summary>
    Replace,
}
