namespace Cnvm.Vmm.Requests;

/// <summary>How a snapshot's memory comes back.</summary>
public enum MemoryRestoreMode
{
    /// <summary>All of it before the guest goes on.</summary>
    Copy,

    /// <summary>Pages as the guest touches them.</summary>
    OnDemand,
}
