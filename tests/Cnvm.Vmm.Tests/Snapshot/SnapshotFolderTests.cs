using System.Diagnostics;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State.Format;
using Cnvm.Linux;
using Cnvm.Vmm.Memory;
using Cnvm.Vmm.Requests;
using Cnvm.Vmm.Snapshot;

namespace Cnvm.Vmm.Tests.Snapshot;

public sealed class SnapshotFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-folder-").FullName;

    private string StatePath => Path.Combine(_folder, SnapshotFiles.State);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void What_is_written_is_read()
    {
        Write();
        Assert.Equal([SnapshotFiles.Config, SnapshotFiles.Memory, SnapshotFiles.State], Files());
        Assert.Equal("{}"u8.ToArray(), SnapshotFolder.ReadConfig(_folder));
        MachineState read = SnapshotFolder.ReadState(_folder);
        Assert.Equal(
            StateWriter.Write(SampleState.Make(), MachineElements.Describe), StateWriter.Write(read, MachineElements.Describe));
    }

    [Fact]
    public void A_folder_with_a_snapshot_is_left_alone()
    {
        Write();
        byte[] before = File.ReadAllBytes(StatePath);
        Assert.Contains("exists", Assert.Throws<SnapshotException>(Write).Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(StatePath));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void When_writing_fails_nothing_stays(bool inMemory)
    {
        var full = new IOException("No space left on device");
        var e = Assert.Throws<SnapshotException>(() => SnapshotFolder.Write(
            _folder,
            "{}"u8,
            f =>
            {
                RandomAccess.Write(f, new byte[100], 0);
                if (inMemory)
                {
                    throw full;
                }
            },
            () => throw full));
        Assert.Contains("No space left", e.Message, StringComparison.Ordinal);
        Assert.Empty(Files());
    }

    [Fact]
    public void What_a_killed_process_left_behind_is_no_obstacle()
    {
        File.WriteAllText(Path.Combine(_folder, SnapshotFiles.Memory + ".cnvm-partial"), "half");
        Write();
        Assert.Equal([SnapshotFiles.Config, SnapshotFiles.Memory, SnapshotFiles.State], Files());
    }

    [Fact]
    public void Two_do_not_write_to_one_folder()
    {
        using (DirectoryLock.TryTake(_folder))
        {
            Assert.Contains("another snapshot", Assert.Throws<SnapshotException>(Write).Message, StringComparison.Ordinal);
            Assert.Empty(Files());
        }

        Write();
    }

    /// <summary>Whoever opens a FIFO waits until somebody writes to it.</summary>
    [Theory]
    [InlineData(SnapshotFiles.State)]
    [InlineData(SnapshotFiles.Config)]
    [InlineData(SnapshotFiles.Memory)]
    public void What_is_no_file_is_refused_at_once(string name)
    {
        Write();
        string path = Path.Combine(_folder, name);
        File.Delete(path);
        using (Process mkfifo = Process.Start("mkfifo", path))
        {
            mkfifo.WaitForExit();
            Assert.Equal(0, mkfifo.ExitCode);
        }

        var e = Assert.Throws<SnapshotException>(() => _ = name switch
        {
            SnapshotFiles.State => (object)SnapshotFolder.ReadState(_folder),
            SnapshotFiles.Config => SnapshotFolder.ReadConfig(_folder),
            _ => Load(),
        });
        Assert.Contains($"{path} is no file", e.Message, StringComparison.Ordinal);

        object Load()
        {
            using GuestMemory memory = GuestRamAllocator.Allocate([new RamPiece(0, 0x3000)]);
            new MemoryImage(path, SampleState.Make().Memory, MemoryRestoreMode.Copy, prefault: false).Load(memory);
            return memory;
        }
    }

    [Fact]
    public void A_state_file_cut_anywhere_is_refused()
    {
        Write();
        byte[] whole = File.ReadAllBytes(StatePath);
        for (int length = 0; length < whole.Length; length += 97)
        {
            File.WriteAllBytes(StatePath, whole[..length]);
            Assert.Contains(StatePath, Assert.Throws<SnapshotException>(() => SnapshotFolder.ReadState(_folder)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_state_file_with_a_changed_byte_is_refused()
    {
        Write();
        byte[] whole = File.ReadAllBytes(StatePath);
        int start = whole.AsSpan().IndexOf("\"state\":\""u8) + 9;
        for (int at = start; at < whole.Length - 4; at += 61)
        {
            byte[] damaged = [.. whole];
            damaged[at] = damaged[at] == (byte)'A' ? (byte)'B' : (byte)'A';
            File.WriteAllBytes(StatePath, damaged);
            Assert.Throws<SnapshotException>(() => SnapshotFolder.ReadState(_folder));
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("not json")]
    [InlineData("{}")]
    [InlineData("""{"snapshots":{"vm":{"snapshot_data":{"state":"{}"}}},"snapshot_data":{}}""")]
    [InlineData("""{"format":"cnvm-state","version":1,"state":"!!"}""")]
    [InlineData("""{"format":"cnvm-state","version":1,"state":"Q05WTVNUQVQ="}""")]
    [InlineData("""{"format":7,"state":[1]}""")]
    public void Foreign_files_are_refused(string text)
    {
        File.WriteAllText(StatePath, text);
        Assert.Throws<SnapshotException>(() => SnapshotFolder.ReadState(_folder));
    }

    [Fact]
    public void A_missing_folder_or_file_is_named()
    {
        Assert.Contains(StatePath, Assert.Throws<SnapshotException>(() => SnapshotFolder.ReadState(_folder)).Message, StringComparison.Ordinal);
        string none = Path.Combine(_folder, "none");
        Assert.Contains(none, Assert.Throws<SnapshotException>(() => SnapshotFolder.Write(none, "{}"u8, null, SampleState.Make)).Message, StringComparison.Ordinal);
    }

    private void Write() => SnapshotFolder.Write(_folder, "{}"u8, f => RandomAccess.Write(f, new byte[4096], 0), SampleState.Make);

    private string[] Files() => [.. Directory.GetFiles(_folder).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];
}
