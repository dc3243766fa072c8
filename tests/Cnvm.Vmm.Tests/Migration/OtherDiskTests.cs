using Cnvm.Vmm.Config;
using Cnvm.Vmm.Migration;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Tests.Snapshot;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Migration;

/// <summary>A target whose files are others than those of the disks that the guest has.</summary>
public sealed class OtherDiskTests : IDisposable
{
    private const int Bytes = 1 << 20;
    private readonly SnapshotService _source = new();
    private readonly SnapshotService _target = new();

    public void Dispose()
    {
        _source.Dispose();
        _target.Dispose();
    }

    [SkippableTheory]
    [InlineData(Bytes / 2)]
    [InlineData(Bytes * 2)]
    public void One_of_another_size_is_refused_by_name_before_the_guest_stops_and_the_next_of_the_same_is_taken(int bytes)
    {
        string disk = _source.File("disk");
        File.WriteAllBytes(disk, new byte[Bytes]);
        _source.StartPaused(c => c with { Disks = [new DiskConfig(disk, Id: "data", ImageType: ImageType.Raw)] });
        _source.OnVmm(vmm => vmm.Resume());
        string there = _target.File("disk");
        File.WriteAllBytes(there, new byte[bytes]);
        MigrationInfo info = ServiceMove.Run(_source, _target, "first", new DiskPlacement("data", there));
        Assert.Equal(
            $"the target refuses: disk data: {there} has {bytes} bytes here, and the guest's disk has {Bytes}: it is another file than the source's", info.Error);
        Assert.Equal((MigrationPhase.Failed, GuestPlace.Here, 0u, null), (info.Phase, info.Guest, info.Rounds, info.DowntimeMs));
        _source.OnVmm(vmm => Assert.Equal(VmState.Running, vmm.Info().State));

        File.WriteAllBytes(there, new byte[Bytes]);
        info = ServiceMove.Run(_source, _target, "second", new DiskPlacement("data", there));
        Assert.Equal((MigrationPhase.Completed, GuestPlace.There, null), (info.Phase, info.Guest, info.Error));
        _target.OnVmm(vmm => Assert.Equal(there, Assert.Single(vmm.Info().Config.Disks!).Path));
        WaitForRound(_target.Vmm.Machine(), Round(_target.Vmm.Machine()) + 2);
    }
}
