using System.Globalization;
using Cnvm.Arch.Acpi;
using Cnvm.Arch.Acpi.Aml;
using Cnvm.Arch.Cpuid;
using Cnvm.Arch.Firmware;
using Cnvm.Arch.Machine;
using Cnvm.Devices.Platform;
using Cnvm.Hypervisor.Memory;
using Cnvm.Vmm.Config;
using CpuTopology = Cnvm.Arch.Machine.CpuTopology;

namespace Cnvm.Vmm.Platform;

/// <summary>What firmware would leave in memory for the kernel: ACPI, SMBIOS and the MP table.</summary>
internal static class FirmwareTables
{
    private const uint FeatureLeaf = 1;
    private static readonly GedEvent[] NoEvents = [];
    private static readonly AmlTerm[] NoObjects = [];

    /// <param name="plugsVcpus">vCPUs come and go while the guest runs.</param>
    /// <returns>Address of the ACPI RSDP; 0 for a machine without ACPI.</returns>
    /// <exception cref="MachineLayoutException">The tables do not fit, or a string cannot stand in them.</exception>
    public static ulong Write(
        VmConfig config,
        PhysicalLayout layout,
        CpuTopology topology,
        CpuidTable cpuid,
        IReadOnlyList<int> mmioTransports,
        bool plugsVcpus,
        GuestMemory memory)
    {
        AddressRange smbios = Smbios.Build(SmbiosOf(config.Platform), memory);
        _ = cpuid.TryGet(FeatureLeaf, 0, out CpuidEntry features);
        uint[] apicIds = topology.ApicIds();
        uint[] bootIds = apicIds[..(int)config.Cpus.BootVcpus];
        _ = MpTable.Build(layout.Profile, bootIds, features.Eax, features.Edx, memory, smbios.End);
        if (layout.Profile.Acpi is null)
        {
            return 0;
        }

        bool hasHotplug = layout.PciHotplugAddress != 0;
        bool hasMemoryHotplug = layout.MemoryHotplugAddress != 0;
        bool hasGeneration = config.HasGenerationId;
        bool hasClock = config.HasClockPage;
        return AcpiTables.Build(
            new AcpiMachine
            {
                Layout = layout,
                ApicIds = apicIds,
                BootVcpus = (int)config.Cpus.BootVcpus,
                HasSerial = config.Serial.Mode != ConsoleMode.Off,
                HasRtc = layout.Profile.RtcIrq is not null,
                PvpanicPort = config.Pvpanic && layout.Profile.Pci is null ? PvPanicRegister.IsaPort : null,
                VirtioMmioTransports = mmioTransports,
                Events =
                [
                    .. hasMemoryHotplug ? [MemoryHotplugDevice.Event] : NoEvents,
                    .. plugsVcpus ? [CpuHotplugDevice.Event] : NoEvents,
                    .. hasHotplug ? [PciHotplugDevice.Event] : NoEvents,
                    .. hasGeneration ? [GenerationDevice.Event] : NoEvents,
                    .. hasClock ? [ClockPageDevice.Event] : NoEvents,
                ],
                Objects =
                [
                    .. hasMemoryHotplug ? [MemoryHotplugDevice.Object(layout.MemoryHotplugAddress)] : NoObjects,
                    .. plugsVcpus ? CpuHotplugDevice.Objects(layout.CpuHotplugAddress, apicIds) : NoObjects,
                    .. hasHotplug ? [PciHotplugDevice.Object(layout.PciHotplugAddress, layout.PciSegments.Select(s => s.Segment))] : NoObjects,
                    .. hasGeneration ? [GenerationDevice.Object(LowMemory.GenerationId)] : NoObjects,
                    .. hasClock ? [ClockPageDevice.Object(LowMemory.ClockPage)] : NoObjects,
                ],
                HostBridgeObjects = hasHotplug
                    ? layout.PciSegments.ToDictionary(s => s.Segment, s => PciHotplugDevice.SlotObjects(s.Segment))
                    : new Dictionary<int, IReadOnlyList<AmlTerm>>(),
            },
            memory).Start;
    }

    private static SmbiosConfig SmbiosOf(PlatformConfig? platform)
    {
        var defaults = new SmbiosConfig();
        if (platform is null)
        {
            return defaults;
        }

        return defaults with
        {
            Manufacturer = platform.SystemManufacturer ?? defaults.Manufacturer,
            Product = platform.SystemProductName ?? defaults.Product,
            SerialNumber = platform.SystemSerialNumber,
            Version = platform.SystemVersion,
            Family = platform.SystemFamily,
            SkuNumber = platform.SystemSkuNumber,
            ChassisAssetTag = platform.ChassisAssetTag,
            Uuid = platform.SystemUuid is { } uuid ? Guid.Parse(uuid, CultureInfo.InvariantCulture) : null,
            OemStrings = platform.OemStrings ?? [],
        };
    }
}
