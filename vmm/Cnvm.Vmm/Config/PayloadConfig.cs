namespace Cnvm.Vmm.Config;

/// <summary>What the machine starts: host paths of a kernel and an initramfs, and the kernel's command line.</summary>
public sealed record PayloadConfig(
    string? Firmware = null,
    string? Kernel = null,
    string? Cmdline = null,
    string? Initramfs = null,
    string? Igvm = null,
    string? HostData = null,
    FwCfgConfig? FwCfgConfig = null);
