using Cnvm.Arch.Acpi.Aml;

namespace Cnvm.Arch.Machine;

/// <summary>
/// A machine as data: its memory map, interrupt wiring and fixed devices. Code asks the profile what exists; it never asks which profile
/// it is.
/// </summary>
public sealed record MachineProfile
{
    /// <summary>End of RAM below the device hole.</summary>
    public const ulong LowRamEnd = 3UL << 30;

    /// <summary>Where RAM continues above the device hole.</summary>
    public const ulong HighRamStart = 4UL << 30;

    /// <summary>Registers of every local APIC.</summary>
    public const uint LocalApicAddress = 0xFEE0_0000;

    /// <summary>Three pages for KVM_SET_TSS_ADDR: never RAM, never a device.</summary>
    public const uint KvmTssAddress = 0xF800_0000;

    /// <summary>One page for KVM_SET_IDENTITY_MAP_ADDR.</summary>
    public const uint KvmIdentityMapAddress = 0xF800_3000;

    /// <summary>ISA interrupt of the first serial port.</summary>
    public const byte SerialIrq = 4;

    /// <summary>Ports of the first serial port.</summary>
    public const ushort SerialPort = 0x3F8;

    /// <summary>Index and data port of the RTC.</summary>
    public const ushort RtcPort = 0x70;

    /// <summary>Name as users write it.</summary>
    public required string Name { get; init; }

    /// <summary>The IOAPICs, the one with GSI 0 first.</summary>
    public required IReadOnlyList<IoApicLayout> IoApics { get; init; }

    /// <summary>
    /// ISA interrupts that are not simply edge-triggered on the pin of their own number, or that a guest must be told about.
    /// </summary>
    public required IReadOnlyList<InterruptOverride> InterruptOverrides { get; init; }

    /// <summary>Whether there is a pair of 8259 PICs.</summary>
    public bool HasPic { get; init; }

    /// <summary>Whether there is an 8254 PIT.</summary>
    public bool HasPit { get; init; }

    /// <summary>ISA interrupt of the RTC; null if it is not wired.</summary>
    public byte? RtcIrq { get; init; }

    /// <summary>PCI, or null.</summary>
    public PciLayout? Pci { get; init; }

    /// <summary>virtio-mmio transports, or null.</summary>
    public VirtioMmioLayout? VirtioMmio { get; init; }

    /// <summary>ACPI hardware, or null: the guest then finds its processors in the MP table.</summary>
    public AcpiLayout? Acpi { get; init; }

    /// <summary>Cloud Hypervisor's machine: PCI and ACPI, nothing older than needed.</summary>
    public static MachineProfile Cloud { get; } = new()
    {
        Name = "cloud",
        IoApics = [new IoApicLayout(0xFEC0_0000, 0, 24)],

        // A hardware-reduced guest has no ISA interrupts of its own accord; the serial port's is stated.
        InterruptOverrides = [new InterruptOverride(SerialIrq, SerialIrq)],
        Pci = new PciLayout(
            new AddressRange(0xE800_0000, 256UL << 20),
            new AddressRange(LowRamEnd, 640UL << 20),

            // Pins 16 to 23 as on PC chipsets: ISA interrupts keep 0 to 15.
            FirstIntxGsi: 16,
            IntxGsiCount: 8),
        Acpi = new AcpiLayout(
            SleepControl: new AcpiRegister(AmlAddressSpace.SystemIo, 0x600, 1),
            SleepStatus: new AcpiRegister(AmlAddressSpace.SystemIo, 0x600, 1),
            Reset: new AcpiRegister(AmlAddressSpace.SystemIo, 0x600, 1),
            ResetValue: 1,
            PmTimer: new AcpiRegister(AmlAddressSpace.SystemIo, 0x608, 4),
            GedAddress: null,
            GedGsi: 9),
    };

    /// <summary>QEMU's microvm with acpi=off: virtio-mmio, PIC, PIT, RTC. Transports are announced on the kernel command line.</summary>
    public static MachineProfile Microvm { get; } = new()
    {
        Name = "microvm",
        IoApics = [new IoApicLayout(0xFEC0_0000, 0, 24)],

        // The PIT's output reaches pin 2, because pin 0 takes the PIC's INTR.
        InterruptOverrides = [new InterruptOverride(0, 2)],
        HasPic = true,
        HasPit = true,
        RtcIrq = 8,
        VirtioMmio = new VirtioMmioLayout(0xFEB0_0000, 8, FirstGsi: 5, EdgeTriggered: true),
    };

    /// <summary>
    /// QEMU's microvm with acpi=on,ioapic2=off: the same machine, its transports in the DSDT on pins 16 to 23. The event and sleep
    /// registers lie where QEMU has them and are shaped like those of <see cref="Cloud"/>; only our own AML knows them.
    /// </summary>
    public static MachineProfile MicrovmAcpi { get; } = Microvm with
    {
        Name = "microvm-acpi",
        InterruptOverrides = [new InterruptOverride(0, 2), new InterruptOverride(SerialIrq, SerialIrq)],
        VirtioMmio = new VirtioMmioLayout(0xFEB0_0000, 8, FirstGsi: 16, EdgeTriggered: true),
        Acpi = new AcpiLayout(
            SleepControl: new AcpiRegister(AmlAddressSpace.SystemMemory, 0xFEA0_0200, 1),
            SleepStatus: new AcpiRegister(AmlAddressSpace.SystemMemory, 0xFEA0_0200, 1),
            Reset: new AcpiRegister(AmlAddressSpace.SystemMemory, 0xFEA0_0200, 1),
            ResetValue: 1,
            PmTimer: null,
            GedAddress: 0xFEA0_0000,
            GedGsi: 9),
    };
}
