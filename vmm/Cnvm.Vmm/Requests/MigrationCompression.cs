namespace Cnvm.Vmm.Requests;

/// <summary>Whether memory is compressed on its way.</summary>
public enum MigrationCompression
{
    /// <summary>LZ4 over TCP, where both sides have it; none over a Unix socket.</summary>
    Auto,

    None,

    /// <summary>Where both sides have it.</summary>
    Lz4,
}
