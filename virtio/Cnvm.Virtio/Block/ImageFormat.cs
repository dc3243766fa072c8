namespace Cnvm.Virtio.Block;

/// <summary>Formats of disk images that are opened here, or known by sight.</summary>
public enum ImageFormat
{
    /// <summary>To be found out from the file.</summary>
    Unknown,
    Raw,
    Qcow2,
    FixedVhd,
    Vhdx,
    FlatVmdk,
}
