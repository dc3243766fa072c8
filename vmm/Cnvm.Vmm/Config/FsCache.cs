namespace Cnvm.Vmm.Config;

/// <summary>How long a guest may believe what it knows of a shared folder.</summary>
public enum FsCache
{
    Auto,
    Always,
    None,
}
