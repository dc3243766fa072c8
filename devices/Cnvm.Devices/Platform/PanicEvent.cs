namespace Cnvm.Devices.Platform;

/// <summary>Events of the pvpanic device (QEMU docs/specs/pvpanic.rst), a bit each.</summary>
[Flags]
public enum PanicEvent
{
    None = 0,

    /// <summary>The guest's kernel panicked.</summary>
    Panicked = 1 << 0,

    /// <summary>It panicked and a crash kernel takes over.</summary>
    CrashLoaded = 1 << 1,

    /// <summary>It shuts down in an orderly way.</summary>
    Shutdown = 1 << 2,
}
