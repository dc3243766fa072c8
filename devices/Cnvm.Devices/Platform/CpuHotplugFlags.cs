namespace Cnvm.Devices.Platform;

/// <summary>What there is to know of a vCPU that can come and go.</summary>
[Flags]
public enum CpuHotplugFlags : byte
{
    None = 0,

    /// <summary>It is there, and the guest has not given it up.</summary>
    Present = 1 << 0,

    /// <summary>It has come and the guest has not asked for it yet.</summary>
    Inserted = 1 << 1,

    /// <summary>It is to go and the guest has not asked for it yet.</summary>
    RemovalNews = 1 << 2,

    /// <summary>The guest was asked to give it up, and has not.</summary>
    Leaving = 1 << 3,

    /// <summary>The guest has given it up, and it has not been taken away yet.</summary>
    Ejected = 1 << 4,
}
