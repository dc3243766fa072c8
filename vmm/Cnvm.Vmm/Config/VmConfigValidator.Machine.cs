using Cnvm.Arch.Cpuid;
using Cnvm.Linux;
using Cnvm.Vmm.Cpus;

namespace Cnvm.Vmm.Config;

// vCPUs, payload, platform, consoles.
public sealed partial class VmConfigValidator
{
    /// <summary>Most vCPUs of the contract; the hypervisor's own limit is usually lower.</summary>
    private const uint MaxVcpus = 8192;

    private const ushort MaxThreadsPerCore = 2;
    private const uint MaxHostCpu = 8191;

    /// <summary>Width below which the 4 GiB map does not fit, and the architecture's largest (SDM vol. 3 §4.1.4).</summary>
    private const byte MinPhysBits = 32;
    private const byte MaxPhysBits = 52;

    private const ushort MaxPciSegments = 96;

    /// <summary>SMBIOS strings end in a null byte and are counted in a byte-sized structure area; far above any real string.</summary>
    private const int MaxSmbiosString = 1024;

    /// <summary>Kernel command lines are limited by the boot protocol's area for them.</summary>
    private const int MaxCmdline = 0xffff;

    private void CheckCpus()
    {
        CpusConfig cpus = _config.Cpus;
        if (cpus.BootVcpus is 0 or > MaxVcpus)
        {
            Add("cpus.boot_vcpus", $"{cpus.BootVcpus} vCPUs; 1 to {MaxVcpus} are possible");
        }

        if (cpus.MaxVcpus > MaxVcpus)
        {
            Add("cpus.max_vcpus", $"{cpus.MaxVcpus} vCPUs; at most {MaxVcpus} are possible");
        }
        else if (cpus.MaxVcpus < cpus.BootVcpus)
        {
            Add("cpus.max_vcpus", $"{cpus.MaxVcpus} is less than boot_vcpus ({cpus.BootVcpus})");
        }

        if (!_goesOn && !CpuModelProfiles.TryGet(cpus.Profile, out _) && !File.Exists(cpus.Profile))
        {
            Add("cpus.profile", $"'{cpus.Profile}' is neither a file nor one of {string.Join(", ", CpuModelProfiles.Names)}");
        }

        foreach (string word in cpus.Features.Extra ?? [])
        {
            if (!CpuProfileSource.IsFeature(word))
            {
                Add("cpus.features.extra", $"there is no '{word}'");
            }
        }

        if (cpus.MaxPhysBits is < MinPhysBits or > MaxPhysBits)
        {
            Add("cpus.max_phys_bits", $"{cpus.MaxPhysBits} is not between {MinPhysBits} and {MaxPhysBits}");
        }

        CheckTopology(cpus);
        CheckAffinity(cpus);
    }

    private void CheckTopology(CpusConfig cpus)
    {
        if (cpus.Topology is not { } topology)
        {
            return;
        }

        if (topology.ThreadsPerCore is 0 or > MaxThreadsPerCore)
        {
            Add("cpus.topology.threads_per_core", $"{topology.ThreadsPerCore}; 1 or {MaxThreadsPerCore} are possible");
        }

        if (topology.DiesPerPackage != 1)
        {
            Add("cpus.topology.dies_per_package", $"{topology.DiesPerPackage}; only 1 is possible");
        }

        if (topology.Count != cpus.MaxVcpus)
        {
            Add("cpus.topology", $"threads x cores x dies x packages is {topology.Count}, not max_vcpus ({cpus.MaxVcpus})");
        }
    }

    private void CheckAffinity(CpusConfig cpus)
    {
        if (cpus.Affinity is null)
        {
            return;
        }

        var seen = new HashSet<uint>();
        for (int i = 0; i < cpus.Affinity.Count; i++)
        {
            CpuAffinity affinity = cpus.Affinity[i];
            string field = $"cpus.affinity[{i}]";
            if (affinity.Vcpu >= cpus.MaxVcpus)
            {
                Add($"{field}.vcpu", $"there is no vCPU {affinity.Vcpu}; they are numbered from 0 to {cpus.MaxVcpus - 1}");
            }
            else if (!seen.Add(affinity.Vcpu))
            {
                Add($"{field}.vcpu", $"vCPU {affinity.Vcpu} is listed twice");
            }

            if (affinity.HostCpus.Count == 0)
            {
                Add($"{field}.host_cpus", "no host CPU is listed");
            }

            foreach (uint cpu in affinity.HostCpus)
            {
                if (cpu > MaxHostCpu)
                {
                    Add($"{field}.host_cpus", $"host CPU {cpu} is above {MaxHostCpu}");
                    break;
                }
            }
        }
    }

    private void CheckPayload()
    {
        PayloadConfig? payload = _config.Payload;
        if (payload?.Firmware is not null)
        {
            return;
        }

        if (string.IsNullOrEmpty(payload?.Kernel))
        {
            Add("payload.kernel", "is missing: give the path of an ELF vmlinux or a bzImage");
        }

        if (payload?.Initramfs is "")
        {
            Add("payload.initramfs", "is empty: give a path or leave it out");
        }

        if (payload?.Cmdline is { } cmdline && (cmdline.Length > MaxCmdline || cmdline.Contains('\0')))
        {
            Add("payload.cmdline", $"has a null character or more than {MaxCmdline} characters");
        }
    }

    private void CheckPciSegments()
    {
        var seen = new HashSet<ushort>();
        for (int i = 0; i < (_config.PciSegments?.Count ?? 0); i++)
        {
            PciSegmentConfig segment = _config.PciSegments![i];
            string field = $"pci_segments[{i}]";
            if (segment.PciSegment >= _config.PciSegmentCount)
            {
                Add($"{field}.pci_segment", $"there is no segment {segment.PciSegment}; platform.num_pci_segments is {_config.PciSegmentCount}");
            }
            else if (!seen.Add(segment.PciSegment))
            {
                Add($"{field}.pci_segment", $"segment {segment.PciSegment} is listed twice");
            }

            if (segment.Mmio32ApertureWeight == 0)
            {
                Add($"{field}.mmio32_aperture_weight", "is 0");
            }

            if (segment.Mmio64ApertureWeight == 0)
            {
                Add($"{field}.mmio64_aperture_weight", "is 0");
            }
        }
    }

    private void CheckPlatform()
    {
        if (_config.Platform is not { } platform)
        {
            return;
        }

        if (platform.NumPciSegments is 0 or > MaxPciSegments)
        {
            Add("platform.num_pci_segments", $"{platform.NumPciSegments}; 1 to {MaxPciSegments} are possible");
        }
        else if (platform.NumPciSegments > 1 && _config.EffectiveProfile == MachineProfile.Microvm)
        {
            Add("platform.num_pci_segments", "the microvm profile has no PCI");
        }

        if (platform.SystemUuid is { } uuid && !Guid.TryParseExact(uuid, "D", out _))
        {
            Add("platform.system_uuid", "is not of the form 01234567-89ab-cdef-0123-456789abcdef");
        }

        CheckSmbios("platform.system_serial_number", platform.SystemSerialNumber);
        CheckSmbios("platform.system_manufacturer", platform.SystemManufacturer);
        CheckSmbios("platform.system_product_name", platform.SystemProductName);
        CheckSmbios("platform.system_version", platform.SystemVersion);
        CheckSmbios("platform.system_family", platform.SystemFamily);
        CheckSmbios("platform.system_sku_number", platform.SystemSkuNumber);
        CheckSmbios("platform.chassis_asset_tag", platform.ChassisAssetTag);
        for (int i = 0; i < (platform.OemStrings?.Count ?? 0); i++)
        {
            CheckSmbios($"platform.oem_strings[{i}]", platform.OemStrings![i]);
        }

        // A structure counts its strings in one byte (SMBIOS 3.6 §7.12).
        if (platform.OemStrings?.Count > byte.MaxValue)
        {
            Add("platform.oem_strings", $"{platform.OemStrings.Count} strings; at most {byte.MaxValue} are possible");
        }
    }

    // An empty string would end the structure's string set (SMBIOS 3.6 §6.1.3).
    private void CheckSmbios(string field, string? value)
    {
        if (value is null)
        {
            return;
        }

        if (value.Length is 0 or > MaxSmbiosString)
        {
            Add(field, $"has {value.Length} characters; 1 to {MaxSmbiosString} are possible");
            return;
        }

        foreach (char c in value)
        {
            if (c is < ' ' or > '~')
            {
                Add(field, "may only have printable ASCII characters");
                return;
            }
        }
    }

    private void CheckConsoles()
    {
        SerialConfig serial = _config.Serial;
        ConsoleConfig console = _config.Console;
        DebugConsoleConfig debug = _config.DebugConsole;
        CheckConsole("serial", serial.Mode, serial.File, serial.FileSize, serial.Socket);
        CheckConsole("console", console.Mode, console.File, console.FileSize, console.Socket);
        CheckConsole("debug_console", debug.Mode, debug.File, debug.FileSize, socket: null);
        if (console.Mode == ConsoleMode.Socket)
        {
            Add("console.mode", "Socket is possible for the serial console only");
        }

        if (debug.Mode == ConsoleMode.Socket)
        {
            Add("debug_console.mode", "Socket is possible for the serial console only");
        }

        if (serial.Mode == ConsoleMode.Tty && console.Mode == ConsoleMode.Tty)
        {
            Add("console.mode", "Tty is possible for one of serial and console, not for both");
        }
    }

    private void CheckConsole(string field, ConsoleMode mode, string? file, ulong? fileSize, string? socket)
    {
        if (mode == ConsoleMode.File && string.IsNullOrEmpty(file))
        {
            Add($"{field}.file", "is missing: mode File needs the path of the output file");
        }

        if (fileSize is { } size && (mode != ConsoleMode.File || size is < (ulong)TailFile.LeastLimit or > long.MaxValue))
        {
            Add($"{field}.file_size", mode != ConsoleMode.File
                ? "is for mode File only: leave it out"
                : $"is {size}; a file that keeps the newest output has at least {TailFile.LeastLimit} bytes, or leave it out for a file without a limit");
        }

        if (mode == ConsoleMode.Socket && string.IsNullOrEmpty(socket) && field == "serial")
        {
            Add($"{field}.socket", "is missing: mode Socket needs the path of the Unix socket");
        }
    }

    private void CheckRng()
    {
        if (_config.Rng.Src.Length == 0)
        {
            Add("rng.src", "is empty: give the path of a source of randomness");
        }
    }
}
