using Cnvm.Hypervisor.State;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Vmm.Cpus;

namespace Cnvm.Vmm.Migration;

/// <summary>What the target must be able to keep up; it says yes or no before the first page is sent.</summary>
internal sealed record MigrationOffer
{
    private const ulong AddressLimit = 1UL << 52;

    /// <summary>The configuration as the JSON of <c>vm.create</c>.</summary>
    public required byte[] Config { get; init; }

    /// <summary>Machine profile, as in the saved state.</summary>
    public required string Machine { get; init; }

    /// <summary>What the guest was shown of its processors.</summary>
    public required GuestPromise Guest { get; init; }

    /// <summary>RAM in ascending order of address.</summary>
    public required MigrationRange[] Memory { get; init; }

    /// <summary>Hypervisor of the source; for people.</summary>
    public required string Hypervisor { get; init; }

    /// <summary>The disks, if they move along; null if the target has them already.</summary>
    public DiskOffers? Disks { get; init; }

    /// <summary>Connections that pages go through, this one included; null for this one alone.</summary>
    public ulong? Connections { get; init; }

    /// <summary>Registers that hold something as the move begins; null if the source is older and does not say.</summary>
    public MsrOffers? Msrs { get; init; }

    /// <summary>Raw disks that do not move along; null if they do, or if the source is older and does not say.</summary>
    public RawDiskOffers? RawDisks { get; init; }

    /// <summary>Bytes of the disks that move along.</summary>
    public ulong DiskBytes => Disks?.Disks.Aggregate(0UL, (sum, d) => sum + d.Size) ?? 0;

    /// <summary>Bytes of RAM.</summary>
    public ulong MemoryBytes => Memory.Aggregate(0UL, (sum, r) => sum + r.Size);

    public static MigrationOffer Describe(StateVisitor v, MigrationOffer? o)
    {
        var offer = new MigrationOffer
        {
            Config = v.Bytes(1, "config", o?.Config),
            Machine = v.Text(2, "machine", o?.Machine),
            Guest = v.Record(3, "guest", o?.Guest, Promise),
            Memory = v.List(4, "memory", o?.Memory, Range),
            Hypervisor = v.Text(5, "hypervisor", o?.Hypervisor),
            Disks = v.Optional<DiskOffers>(6, "disks", o?.Disks, DiskOffers.Describe),
            Connections = v.OptionalU64(7, "connections", o?.Connections),

            // A target that does not know of these learns the same from the state.
            Msrs = v.Optional<MsrOffers>(8, "msrs", o?.Msrs, MsrOffers.Describe, ignorable: true),
            RawDisks = v.Optional<RawDiskOffers>(9, "raw_disks", o?.RawDisks, RawDiskOffers.Describe, ignorable: true),
        };
        v.Require(offer.Connections is null or (> 1 and <= MigrationWire.MostConnections), $"{offer.Connections} connections");
        v.Require(offer.Memory.Length > 0, "there is no memory");
        ulong end = 0;
        foreach (MigrationRange r in offer.Memory)
        {
            v.Require(
                r.Size > 0 && ((r.Gpa | r.Size) & (MigrationWire.PageBytes - 1)) == 0 && r.Gpa < AddressLimit && r.Size < AddressLimit && r.Gpa >= end,
                $"no range of memory: 0x{r.Size:x} bytes at 0x{r.Gpa:x}");
            end = r.Gpa + r.Size;
        }

        return offer;
    }

    private static GuestPromise Promise(StateVisitor v, GuestPromise? g) => new(
        v.U32(1, "vcpus", g?.Vcpus),
        VcpuElements.Cpuid(v, 2, g?.Cpuid),
        v.Text(3, "cpu_profile", g?.CpuProfile),
        v.U32(4, "tsc_khz", g?.TscKhz));

    private static MigrationRange Range(StateVisitor v, MigrationRange? r) => new(
        v.U64(1, "gpa", r?.Gpa), v.U64(2, "size", r?.Size), v.Text(3, "zone", r?.Zone));
}
