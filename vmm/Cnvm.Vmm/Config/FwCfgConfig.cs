namespace Cnvm.Vmm.Config;

/// <summary>What a fw_cfg device would offer. Kept so that it can be refused by name.</summary>
public sealed record FwCfgConfig(
    bool E820 = true,
    bool Kernel = true,
    bool Cmdline = true,
    bool Initramfs = true,
    bool AcpiTables = true,
    FwCfgItems? Items = null);
