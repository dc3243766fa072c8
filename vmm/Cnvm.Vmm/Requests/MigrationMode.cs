namespace Cnvm.Vmm.Requests;

/// <summary>When a migrating guest's memory moves.</summary>
public enum MigrationMode
{
    /// <summary>Before the guest goes on at the destination.</summary>
    Precopy,

    /// <summary>Afterwards, as the guest touches it.</summary>
    Postcopy,
}
