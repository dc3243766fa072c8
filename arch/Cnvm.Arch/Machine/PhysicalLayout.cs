namespace Cnvm.Arch.Machine;

/// <summary>The guest's physical address space for one configuration: RAM, PCI windows, platform devices. Immutable.</summary>
public sealed class PhysicalLayout
{
    /// <summary>Fewest and most physical address bits that a machine can have.</summary>
    public const int MinPhysicalBits = 36;

    /// <inheritdoc cref="MinPhysicalBits"/>
    public const int MaxPhysicalBits = 52;

    /// <summary>Least RAM: the first MiB belongs to boot data, the kernel needs something above it.</summary>
    public const ulong MinRam = 2UL << 20;

    private const ulong PageSize = 4096;
    private const ulong Mmio64Alignment = 128UL << 20;
    private const ulong PlatformSize = 1UL << 20;

    // Large pages and the guest's memory blocks, which it makes larger the more RAM it has, line up in it.
    private const ulong HotplugAlignment = 2UL << 30;

    // Cloud Hypervisor keeps the last 64 KiB of the address space free.
    private const ulong TopGap = 64UL << 10;

    // The event register comes first.
    private const ulong PciHotplugOffset = 16;
    private const ulong MemoryHotplugOffset = 64;
    private const ulong CpuHotplugOffset = 32;

    private const ulong Window32Granule = 4096;
    private const ulong Window64Granule = 4UL << 30;
    private const ulong SmallWindow64Granule = 16UL << 20;

    private PhysicalLayout(
        MachineProfile profile,
        int physicalBits,
        AddressRange[] ram,
        AddressRange hotplugRam,
        AddressRange platform,
        PciSegmentWindows[] segments)
    {
        Profile = profile;
        PhysicalBits = physicalBits;
        RamRegions = ram;
        HotplugRam = hotplugRam;
        Platform = platform;
        PciSegments = segments;
    }

    /// <summary>The machine that this is the layout of.</summary>
    public MachineProfile Profile { get; }

    /// <summary>Physical address bits of the guest.</summary>
    public int PhysicalBits { get; }

    /// <summary>RAM: one region up to 3 GiB, a second from 4 GiB if there is more.</summary>
    public IReadOnlyList<AddressRange> RamRegions { get; }

    /// <summary>Where RAM that is added later goes; empty if none was asked for.</summary>
    public AddressRange HotplugRam { get; }

    /// <summary>The last MiB below the top of the address space: registers that only our own AML knows.</summary>
    public AddressRange Platform { get; }

    /// <summary>The PCI segments, by number; empty without PCI.</summary>
    public IReadOnlyList<PciSegmentWindows> PciSegments { get; }

    /// <summary>Event register of the generic event device; 0 if the profile has no ACPI.</summary>
    public ulong GedAddress => Profile.Acpi is { } acpi ? acpi.GedAddress ?? Platform.Start : 0;

    /// <summary>Registers of PCI hot-plug; 0 if the profile has no ACPI or no PCI.</summary>
    public ulong PciHotplugAddress => Profile is { Acpi: not null, Pci: not null } ? Platform.Start + PciHotplugOffset : 0;

    /// <summary>Registers of memory hot-plug; 0 if the profile has no ACPI, or there is no room for more memory.</summary>
    public ulong MemoryHotplugAddress => Profile.Acpi is not null && HotplugRam.Length > 0 ? Platform.Start + MemoryHotplugOffset : 0;

    /// <summary>Registers of CPU hot-plug; 0 if the profile has no ACPI.</summary>
    public ulong CpuHotplugAddress => Profile.Acpi is null ? 0 : Platform.Start + CpuHotplugOffset;

    /// <summary>End of the highest RAM region.</summary>
    public ulong RamEnd => RamRegions[^1].End;

    /// <summary>Plans the address space.</summary>
    /// <param name="profile">The machine.</param>
    /// <param name="ramBytes">RAM at boot, a multiple of 4 KiB, at least <see cref="MinRam"/>.</param>
    /// <param name="physicalBits">
    /// Physical address bits that the guest is shown: <see cref="MinPhysicalBits"/> to <see cref="MaxPhysicalBits"/>.
    /// </param>
    /// <param name="hotplugBytes">RAM that may be added later, a multiple of 128 MiB.</param>
    /// <param name="segments">Shares of each PCI segment; null for a single one.</param>
    /// <exception cref="MachineLayoutException">A value is out of its range, or all of it does not fit.</exception>
    public static PhysicalLayout Plan(
        MachineProfile profile,
        ulong ramBytes,
        int physicalBits,
        ulong hotplugBytes = 0,
        IReadOnlyList<PciSegmentWeights>? segments = null)
    {
        if (physicalBits is < MinPhysicalBits or > MaxPhysicalBits)
        {
            throw new MachineLayoutException(
                $"{physicalBits} physical address bits are not possible: the range is {MinPhysicalBits} to {MaxPhysicalBits}.");
        }

        if (ramBytes < MinRam || ramBytes % PageSize != 0)
        {
            throw new MachineLayoutException(
                $"A RAM size of {ramBytes} bytes is not possible: it must be a multiple of {PageSize} and at least {MinRam >> 20} MiB.");
        }

        if (hotplugBytes % Mmio64Alignment != 0)
        {
            throw new MachineLayoutException($"A hotplug size of {hotplugBytes} bytes is not a multiple of 128 MiB.");
        }

        var platform = new AddressRange((1UL << physicalBits) - TopGap - PlatformSize, PlatformSize);
        var ram = SplitRam(ramBytes, hotplugBytes, platform.Start, physicalBits);
        var hotplugStart = AlignUp(Math.Max(ram[^1].End, MachineProfile.HighRamStart), hotplugBytes > 0 ? HotplugAlignment : Mmio64Alignment);
        var hotplug = new AddressRange(hotplugStart, hotplugBytes);
        var windows = profile.Pci is { } pci
            ? PlanSegments(pci, AddressRange.Between(hotplug.End, platform.Start), segments ?? [PciSegmentWeights.Equal])
            : [];
        return new PhysicalLayout(profile, physicalBits, ram, hotplug, platform, windows);
    }

    /// <summary>The memory map for e820 and for hvm_start_info, ascending.</summary>
    public IReadOnlyList<MemoryMapEntry> BuildMemoryMap()
    {
        var map = new List<MemoryMapEntry>(6)
        {
            new(new AddressRange(0, LowMemory.AcpiTables), MemoryMapType.Ram),

            // The tables lie in RAM, and the guest must neither use nor miss them.
            new(AddressRange.Between(LowMemory.AcpiTables, LowMemory.HighRam), MemoryMapType.Reserved),
            new(AddressRange.Between(LowMemory.HighRam, RamRegions[0].End), MemoryMapType.Ram),
        };
        if (PciSegments.Count > 0)
        {
            var ecam = AddressRange.Between(PciSegments[0].Ecam.Start, PciSegments[^1].Ecam.End);
            map.Add(new MemoryMapEntry(ecam, MemoryMapType.Reserved));
        }

        if (RamRegions.Count > 1)
        {
            map.Add(new MemoryMapEntry(RamRegions[1], MemoryMapType.Ram));
        }

        return map;
    }

    private static AddressRange[] SplitRam(ulong ramBytes, ulong hotplugBytes, ulong limit, int physicalBits)
    {
        // Neither sum can wrap: the sizes are checked against the limit (below 2^52) first.
        var gaps = (2 * Mmio64Alignment) + (hotplugBytes > 0 ? HotplugAlignment : 0);
        if (ramBytes > limit || hotplugBytes > limit || MachineProfile.HighRamStart + ramBytes + hotplugBytes + gaps > limit)
        {
            throw new MachineLayoutException(
                $"{ramBytes >> 20} MiB of RAM (and {hotplugBytes >> 20} MiB to add later) do not fit into "
                + $"{physicalBits} physical address bits. Ask for less memory or a smaller hotplug_size, or raise max_phys_bits if the host has more.");
        }

        return ramBytes <= MachineProfile.LowRamEnd
            ? [new AddressRange(0, ramBytes)]
            :
            [
                new AddressRange(0, MachineProfile.LowRamEnd),
                new AddressRange(MachineProfile.HighRamStart, ramBytes - MachineProfile.LowRamEnd),
            ];
    }

    private static PciSegmentWindows[] PlanSegments(PciLayout pci, AddressRange mmio64, IReadOnlyList<PciSegmentWeights> weights)
    {
        if (weights.Count is < 1 or > PciLayout.MaxSegments)
        {
            throw new MachineLayoutException($"{weights.Count} PCI segments are not possible: the range is 1 to {PciLayout.MaxSegments}.");
        }

        ulong total32 = 0;
        ulong total64 = 0;
        for (var i = 0; i < weights.Count; i++)
        {
            if (weights[i].Mmio32 == 0 || weights[i].Mmio64 == 0)
            {
                throw new MachineLayoutException($"PCI segment {i} has a window weight of 0; the least is 1.");
            }

            total32 += weights[i].Mmio32;
            total64 += weights[i].Mmio64;
        }

        var granule64 = mmio64.Length / total64 >= Window64Granule ? Window64Granule : SmallWindow64Granule;
        var unit32 = AlignDown(pci.Mmio32.Length / total32, Window32Granule);
        var unit64 = AlignDown(mmio64.Length / total64, granule64);
        if (unit32 == 0 || unit64 == 0)
        {
            throw new MachineLayoutException(
                $"The PCI windows cannot be divided by weights that sum to {total32} (32-bit) and {total64} (64-bit): "
                + "some segment would be left without memory. Use smaller weights, fewer segments or more physical address bits.");
        }

        var windows = new PciSegmentWindows[weights.Count];
        var next32 = pci.Mmio32.Start;
        var next64 = mmio64.Start;
        for (var i = 0; i < windows.Length; i++)
        {
            var own32 = new AddressRange(next32, unit32 * weights[i].Mmio32);
            var own64 = new AddressRange(next64, unit64 * weights[i].Mmio64);
            windows[i] = new PciSegmentWindows(i, pci.EcamOf(i), own32, own64);
            next32 = own32.End;
            next64 = own64.End;
        }

        return windows;
    }

    private static ulong AlignUp(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);

    private static ulong AlignDown(ulong value, ulong alignment) => value & ~(alignment - 1);
}
