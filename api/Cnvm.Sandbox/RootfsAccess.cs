namespace Cnvm.Sandbox;

/// <summary>What becomes of what a container writes to its root file system.</summary>
public enum RootfsAccess
{
    /// <summary>It stays in the guest's memory and is lost with the container; the folder is not changed, and any number of containers may have it.</summary>
    Overlay,

    /// <summary>It goes to the folder.</summary>
    ReadWrite,

    /// <summary>It is refused.</summary>
    ReadOnly,
}
