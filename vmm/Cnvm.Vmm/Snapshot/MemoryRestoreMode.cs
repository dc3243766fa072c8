namespace Cnvm.Vmm.Snapshot;

/// <summary>How guest RAM gets its contents back.</summary>
public enum MemoryRestoreMode
{
    /// <summary>All of it is read and checked before the machine exists.</summary>
    Copy,

    /// <summary>The memory file is mapped, and a page is read when the guest first touches it. The file must stay as it is meanwhile.</summary>
    OnDemand,
}
