using System.Globalization;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Cpus;

namespace Cnvm.CommandLine;

internal static partial class VmConfigArguments
{
    private static CpusConfig ParseCpus(string text)
    {
        // The number alone is an older spelling of boot=.
        if (uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint count))
        {
            return new CpusConfig(BootVcpus: count, MaxVcpus: count);
        }

        var o = new OptionString(
            Flags.Cpus, text, "boot", "max", "topology", "kvm_hyperv", "max_phys_bits", "affinity", "features", "nested", "core_scheduling",
            "profile");
        uint boot = o.UInt32("boot") ?? 1;
        var features = new CpuFeatures();
        foreach (string feature in o.Words("features") ?? [])
        {
            features = feature == "amx" ? features with { Amx = true }
                : CpuProfileSource.IsFeature(feature) ? features with { Extra = [.. features.Extra ?? [], feature] }
                : throw Wrong(Flags.Cpus, $"features: there is no '{feature}'");
        }

        return new CpusConfig(
            BootVcpus: boot,
            MaxVcpus: o.UInt32("max") ?? boot,
            Topology: o.Text("topology") is { } topology ? ParseTopology(topology) : null,
            KvmHyperv: o.Toggle("kvm_hyperv"),
            MaxPhysBits: o.Byte("max_phys_bits") ?? CpusConfig.DefaultMaxPhysBits,
            Affinity: o.Tuples("affinity")?.ConvertAll(a => new CpuAffinity(a.Left, a.Right)),
            Features: features,
            Nested: o.Toggle("nested", otherwise: true),
            CoreScheduling: o.Choice("core_scheduling", ("vm", CoreScheduling.Vm), ("vcpu", CoreScheduling.Vcpu), ("off", CoreScheduling.Off))
                ?? CoreScheduling.Vm,
            Profile: o.Text("profile") is { } profile and not "host" ? profile : CpusConfig.HostProfile);
    }

    private static CpuTopology ParseTopology(string text)
    {
        string[] parts = text.Split(':');
        ushort[] numbers = new ushort[4];
        if (parts.Length != numbers.Length)
        {
            throw Wrong(Flags.Cpus, $"topology: '{text}' is not THREADS:CORES:DIES:PACKAGES");
        }

        for (int i = 0; i < numbers.Length; i++)
        {
            if (!ushort.TryParse(parts[i], NumberStyles.None, CultureInfo.InvariantCulture, out numbers[i]))
            {
                throw Wrong(Flags.Cpus, $"topology: '{parts[i]}' is no number from 0 to {ushort.MaxValue}");
            }
        }

        return new CpuTopology(numbers[0], numbers[1], numbers[2], numbers[3]);
    }

    private static MemoryConfig? ParseMemory(string? text, IReadOnlyList<string>? zoneTexts)
    {
        List<MemoryZoneConfig>? zones = MapAll(zoneTexts, ParseMemoryZone);
        if (text is null)
        {
            return zones is null ? null : new MemoryConfig(Size: 0, Zones: zones);
        }

        // The size alone is enough.
        if (OptionString.ParseSize(text) is { } size)
        {
            return new MemoryConfig(Size: size, Zones: zones);
        }

        var o = new OptionString(
            Flags.Memory, text, "size", "mergeable", "shared", "hugepages", "hugepage_size", "hotplug_method", "hotplug_size",
            "hotplugged_size", "prefault", "reserve", "thp");
        return new MemoryConfig(
            Size: o.Size("size") ?? (zones is null ? MemoryConfig.DefaultSize : 0),
            Mergeable: o.Toggle("mergeable"),
            HotplugMethod: o.Choice("hotplug_method", ("acpi", HotplugMethod.Acpi), ("virtio-mem", HotplugMethod.VirtioMem))
                ?? HotplugMethod.Acpi,
            HotplugSize: o.Size("hotplug_size"),
            HotpluggedSize: o.Size("hotplugged_size"),
            Shared: o.Toggle("shared"),
            Hugepages: o.Toggle("hugepages"),
            HugepageSize: o.Size("hugepage_size"),
            Prefault: o.Toggle("prefault"),
            Reserve: o.Toggle("reserve"),
            Thp: o.Toggle("thp", otherwise: true),
            Zones: zones);
    }

    private static MemoryZoneConfig ParseMemoryZone(string text)
    {
        var o = new OptionString(
            Flags.MemoryZone, text, "id", "size", "file", "shared", "hugepages", "hugepage_size", "host_numa_node", "hotplug_size",
            "hotplugged_size", "prefault", "reserve", "mergeable");
        return new MemoryZoneConfig(
            Id: o.Text("id") ?? throw Wrong(Flags.MemoryZone, "id= is missing"),
            Size: o.Size("size") ?? throw Wrong(Flags.MemoryZone, "size= is missing"),
            File: o.Text("file"),
            Shared: o.Toggle("shared"),
            Hugepages: o.Toggle("hugepages"),
            HugepageSize: o.Size("hugepage_size"),
            HostNumaNode: o.UInt32("host_numa_node"),
            HotplugSize: o.Size("hotplug_size"),
            HotpluggedSize: o.Size("hotplugged_size"),
            Prefault: o.Toggle("prefault"),
            Reserve: o.Toggle("reserve"),
            Mergeable: o.Toggle("mergeable"));
    }

    private static PlatformConfig? ParsePlatform(string? text, string? machine)
    {
        if (text is null && machine is null)
        {
            return null;
        }

        var o = new OptionString(
            Flags.Platform, text ?? "", "num_pci_segments", "iommu_segments", "iommu_address_width", "iommu_address_width_bits",
            "serial_number", "system_serial_number", "uuid", "system_uuid", "oem_strings", "system_manufacturer", "system_product_name",
            "system_version", "system_family", "system_sku_number", "chassis_asset_tag", "tdx", "sev_snp", "iommufd", "vfio_p2p_dma",
            "machine_profile", "vmgenid", "vmclock");
        MachineProfile? profile = ParseProfile(Flags.Platform, "machine_profile", o.Text("machine_profile"));
        if (profile is not null && machine is not null)
        {
            throw new CommandLineException($"{Flags.Machine} and {Flags.Platform} machine_profile= say the same: give one of them");
        }

        return new PlatformConfig(
            NumPciSegments: o.UInt16("num_pci_segments") ?? 1,
            IommuSegments: o.Integers("iommu_segments")?.ConvertAll(Segment),
            IommuAddressWidthBits: o.Byte("iommu_address_width_bits") ?? o.Byte("iommu_address_width")
                ?? PlatformConfig.DefaultIommuAddressWidthBits,
            SystemSerialNumber: o.Text("system_serial_number") ?? o.Text("serial_number"),
            SystemUuid: o.Text("system_uuid") ?? o.Text("uuid"),
            OemStrings: o.Words("oem_strings"),
            SystemManufacturer: o.Text("system_manufacturer"),
            SystemProductName: o.Text("system_product_name"),
            SystemVersion: o.Text("system_version"),
            SystemFamily: o.Text("system_family"),
            SystemSkuNumber: o.Text("system_sku_number"),
            ChassisAssetTag: o.Text("chassis_asset_tag"),
            Tdx: o.Toggle("tdx"),
            SevSnp: o.Toggle("sev_snp"),
            Iommufd: o.Toggle("iommufd"),
            VfioP2pDma: o.Toggle("vfio_p2p_dma", otherwise: true),
            MachineProfile: profile ?? ParseProfile(Flags.Machine, null, machine),
            Vmgenid: o.Text("vmgenid") is null ? null : o.Toggle("vmgenid"),
            Vmclock: o.Text("vmclock") is null ? null : o.Toggle("vmclock"));
    }

    private static ushort Segment(uint number) =>
        number <= ushort.MaxValue ? (ushort)number : throw Wrong(Flags.Platform, $"iommu_segments: there is no segment {number}");

    private static MachineProfile? ParseProfile(string flag, string? key, string? word) => word switch
    {
        null => null,
        "cloud" => MachineProfile.Cloud,
        "microvm" => MachineProfile.Microvm,
        _ => throw Wrong(flag, $"{(key is null ? "" : key + ": ")}'{word}' is neither cloud nor microvm"),
    };

    private static CommandLineException Wrong(string flag, string what) => new($"{flag}: {what}");
}
