using System.Security.Cryptography;
using Cnvm.Vmm.Config;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;
using static Cnvm.Vmm.Tests.Snapshot.PayloadMachine;

namespace Cnvm.Vmm.Tests.Snapshot;

/// <summary>Machines that go on from one snapshot at the same time.</summary>
public sealed class CloneTests : IDisposable
{
    private const int Clones = 8;
    private const int IdBytes = 16;
    private readonly SnapshotService _first = new();
    private readonly List<SnapshotService> _clones = [];

    public void Dispose()
    {
        _clones.ForEach(c => c.Dispose());
        _first.Dispose();
    }

    /// <summary>
    /// Beside the machine that the snapshot was taken of, which is paused. All write the same pages, each its own copy; each has a generation identifier that
    /// no other has, and virtio sockets at a place of its own.
    /// </summary>
    [SkippableTheory]
    [InlineData(MemoryRestoreMode.Copy)]
    [InlineData(MemoryRestoreMode.OnDemand)]
    public void Many_run_at_once_and_each_is_another_one(MemoryRestoreMode mode)
    {
        _first.StartPaused(c => c with { Vsock = new VsockConfig(3, _first.File("vsock"), Id: "sock") });
        string folder = _first.Take("one");
        string memory = Path.Combine(folder, SnapshotFiles.Memory);
        byte[] before = Digest(memory);
        ulong place = SnapshotFolder.ReadState(folder).Chipset.GenerationId!.Address;
        ulong round = Round(_first.Vmm.Machine());
        var ids = new HashSet<string> { IdOf(_first, place) };
        var url = new RestoreConfig($"file://{folder}", MemoryRestoreMode: mode, Resume: true);
        for (int i = 0; i < Clones; i++)
        {
            var clone = new SnapshotService();
            _clones.Add(clone);
            Assert.Contains($"{_first.File("vsock")} is served by another process", clone.Refused(url), StringComparison.Ordinal);
            clone.Vmm.Restore(url with { VsockSocket = clone.File("vsock") }, []);
            Assert.Equal(clone.File("vsock"), clone.Vmm.Info().Config.Vsock!.Socket);
        }

        // The first has gone furthest by then; none sees what another writes.
        for (int i = 0; i < Clones; i++)
        {
            WaitForRound(_clones[i].Vmm.Machine(), round + (ulong)(Clones - i));
        }

        foreach (SnapshotService clone in _clones)
        {
            clone.Vmm.Pause();
            Assert.True(File.Exists(clone.File("vsock")));
            Assert.True(ids.Add(IdOf(clone, place)), "two machines have one generation identifier");
        }

        Assert.Equal(round, Round(_first.Vmm.Machine()));
        Assert.Contains(IdOf(_first, place), ids);
        Assert.Equal(before, Digest(memory));
        _first.GoesOn();
    }

    [SkippableFact]
    public void A_place_for_virtio_sockets_is_refused_where_there_are_none()
    {
        _first.StartPaused();
        var url = new RestoreConfig($"file://{_first.Take("one")}", VsockSocket: _first.File("vsock"));
        _first.Vmm.Delete();
        Assert.Contains("vsock_socket: the snapshot has no virtio socket device", _first.Refused(url), StringComparison.Ordinal);
    }

    private static string IdOf(SnapshotService service, ulong place) =>
        Convert.ToHexString(service.Vmm.Machine().Ram.Memory.GetSpan(place, IdBytes));

    private static byte[] Digest(string path)
    {
        using FileStream file = File.OpenRead(path);
        return SHA256.HashData(file);
    }
}
