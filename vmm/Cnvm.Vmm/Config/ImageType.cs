namespace Cnvm.Vmm.Config;

/// <summary>Format of a disk image.</summary>
public enum ImageType
{
    FixedVhd,
    FlatVmdk,
    Qcow2,
    Raw,
    Vhdx,
    Unknown,
}
