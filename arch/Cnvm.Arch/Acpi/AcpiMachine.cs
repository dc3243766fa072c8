using Cnvm.Arch.Acpi.Aml;
using Cnvm.Arch.Machine;

namespace Cnvm.Arch.Acpi;

/// <summary>What the ACPI tables describe.</summary>
public sealed record AcpiMachine
{
    /// <summary>Address space and profile. The profile must have ACPI.</summary>
    public required PhysicalLayout Layout { get; init; }

    /// <summary>APIC ids of all vCPUs that the machine can ever have, by vCPU index.</summary>
    public required IReadOnlyList<uint> ApicIds { get; init; }

    /// <summary>How many of them exist at boot; the others are declared as online-capable.</summary>
    public required int BootVcpus { get; init; }

    /// <summary>Whether the first serial port exists.</summary>
    public bool HasSerial { get; init; }

    /// <summary>Whether the RTC exists.</summary>
    public bool HasRtc { get; init; }

    /// <summary>Port of the pvpanic device; null without one on the ISA bus.</summary>
    public ushort? PvpanicPort { get; init; }

    /// <summary>Which virtio-mmio transports hold a device.</summary>
    public IReadOnlyList<int> VirtioMmioTransports { get; init; } = [];

    /// <summary>Events beside the power button: hotplug of vCPUs, memory and PCI functions.</summary>
    public IReadOnlyList<GedEvent> Events { get; init; } = [];

    /// <summary>Further objects for <c>\_SB</c>: the devices that belong to those events.</summary>
    public IReadOnlyList<AmlTerm> Objects { get; init; } = [];

    /// <summary>Further objects inside the host bridge of a PCI segment, by segment number: slots that can be ejected.</summary>
    public IReadOnlyDictionary<int, IReadOnlyList<AmlTerm>> HostBridgeObjects { get; init; } =
        new Dictionary<int, IReadOnlyList<AmlTerm>>();
}
