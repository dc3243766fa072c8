namespace Cnvm.Virtio.Fs;

/// <summary>How long a guest may believe what it knows of a shared folder.</summary>
public enum FsCacheMode
{
    /// <summary>A second; file contents are read anew when a file is opened and has changed.</summary>
    Auto,

    /// <summary>A day, and writes may wait in the guest: for folders that nobody else changes.</summary>
    Always,

    /// <summary>Not at all; reads and writes go to the host one by one.</summary>
    None,
}
