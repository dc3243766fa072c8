using Cnvm.Hypervisor;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm;

// What a machine that moves away needs where it goes.
public sealed partial class VmmService
{
    private MigrationOffer MakeOffer(VirtualMachine machine, bool withDisks, bool isLocal)
    {
        RamSource ram = machine.Ram;
        if (isLocal)
        {
            ThrowUnlessHanded(machine);
        }

        if (!isLocal && _config!.Net?.FirstOrDefault(n => n.Fds is not null) is { } net)
        {
            throw new VmmException(VmmErrorKind.Internal, $"{net.Id}: an interface with TAP queues by descriptor cannot move yet");
        }

        if (!isLocal && ram.Plan.FirstOrDefault(p => p.Shared && p.File is { } file && !Directory.Exists(file)) is { } piece)
        {
            throw new VmmException(
                VmmErrorKind.Internal, $"memory zone {piece.ZoneId}: it lies in {piece.File}, which other processes share, and cannot move");
        }

        if (machine.SaveObstacle() is { } obstacle)
        {
            throw new VmmException(VmmErrorKind.Internal, $"The VM cannot move now: {obstacle}");
        }

        if (withDisks && _config!.Disks?.FirstOrDefault(d => d.VhostUser) is { } served)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"with_disks: the image of '{served.Id}' is its vhost-user back end's and cannot move along");
        }

        return new MigrationOffer
        {
            Config = _options.ConfigCodec.Write(withDisks ? WithRawDisks(_config!, machine) : _config!),
            Machine = machine.ProfileName,
            Guest = machine.Promise(_hypervisor!),
            Memory = [.. ram.Plan.Select(p => new MigrationRange(p.Gpa, p.Size, p.ZoneId ?? ""))],
            Hypervisor = _hypervisor!.Name,
            Disks = withDisks ? OfferDisks(machine) : null,
            Msrs = OfferMsrs(machine),
            RawDisks = withDisks ? null : new RawDiskOffers([.. machine.Disks.Where(d => d.IsRaw).Select(d => new RawDiskOffer(d.Id, d.ImageSize))]),
        };
    }

    private static DiskOffers OfferDisks(VirtualMachine machine)
    {
        try
        {
            return new DiskOffers([.. machine.Disks.Select(DepartingDisk.OfferOf)]);
        }
        catch (MigrationException e)
        {
            throw new VmmException(VmmErrorKind.Internal, e.Message, e);
        }
    }

    private static MsrOffers OfferMsrs(VirtualMachine machine)
    {
        try
        {
            return new MsrOffers(machine.HeldMsrs());
        }
        catch (HypervisorException e)
        {
            throw new VmmException(VmmErrorKind.Internal, "The VM cannot move now: its registers cannot be read", e);
        }
    }

    /// <summary>What moves is what the guest sees, and so a raw image, whatever the format and layers that it lies in here.</summary>
    private static VmConfig WithRawDisks(VmConfig config, VirtualMachine machine)
    {
        var formatted = machine.Disks.Where(d => !d.IsRaw).Select(d => d.Id).ToHashSet(StringComparer.Ordinal);
        return config with
        {
            Disks = config.Disks is { } disks
                ? [.. disks.Select(d => (formatted.Contains(d.Id!) ? d with { ImageType = ImageType.Raw } : d) with { BackingFiles = false })]
                : null,
        };
    }
}
