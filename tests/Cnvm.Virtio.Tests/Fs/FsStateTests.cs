using Cnvm.Devices;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;
using Cnvm.Virtio.Tests.Support;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>Sessions are saved and go on in another server on the same folder, or on one that looks like it.</summary>
public sealed class FsStateTests
{
    private const ulong Root = FuseAbi.FUSE_ROOT_ID;

    [Fact]
    public void Open_files_and_numbers_survive()
    {
        using FuseClient client = new();
        client.Begin();
        Directory.CreateDirectory(client.Path("d/e"));
        ulong d = client.LookUp(Root, "d").nodeid;
        ulong e = client.LookUp(d, "e").nodeid;
        (ulong node, ulong handle) = client.Create(e, "file");
        byte[] data = new byte[100_000];
        new Random(3).NextBytes(data);
        client.Write(handle, 0, data);
        client.Ask(FuseAbi.FUSE_SYMLINK, Root, FuseClient.Text("link", "d"));
        ulong readOnly = client.Open(node, 0);
        ulong directory = client.OpenDirectory(d);
        ulong rootDirectory = client.OpenDirectory(Root);
        client.LookUp(e, "file");

        // Renamed after it was opened, and told apart by name only from one that looks removed.
        client.Ask(FuseAbi.FUSE_RENAME, e, FuseClient.Bytes(new fuse_rename_in { newdir = Root }), FuseClient.Text("file", "file (deleted)"));

        FsState state = client.Shared.Save("t");
        string text = StateText.Of(state);
        Assert.Equal(text, StateText.Of(client.Shared.Save("t")));
        using FuseClient other = new(folder: client.Folder);
        Assert.Equal(0, other.Shared.Restore(state));
        Assert.Equal(text, StateText.Of(other.Shared.Save("t")));
        Assert.Equal(data, other.Read(handle, 0, 200_000));
        Assert.Equal(data, other.Read(readOnly, 0, 200_000));
        other.Write(handle, 0, "new"u8.ToArray());
        Assert.Equal(Errno.EBADF, other.Refused(FuseAbi.FUSE_WRITE, node, FuseClient.Bytes(new fuse_write_in { fh = readOnly, size = 1 }), [1]));
        foreach (ulong h in (ulong[])[directory, rootDirectory])
        {
            Assert.NotEmpty(other.Ask(FuseAbi.FUSE_READDIR, 0, FuseClient.Bytes(new fuse_read_in { fh = h, size = 4096 })));
        }

        Assert.Equal(e, other.LookUp(d, "e").nodeid);
        other.Forget(node);
        Assert.Equal(100_000UL, other.Attributes(node).size);
        other.Forget(node);
        Assert.Equal(Errno.ENOENT, other.Refused(FuseAbi.FUSE_GETATTR, node, FuseClient.Bytes(default(fuse_getattr_in))));

        // Numbers go on where they were.
        File.WriteAllText(other.Path("later"), "");
        Assert.Equal(state.NextNode, other.LookUp(Root, "later").nodeid);
        Assert.Equal(state.NextHandle, other.Open(other.LookUp(Root, "later").nodeid));
    }

    [Fact]
    public void What_is_gone_is_stale_and_everything_else_goes_on()
    {
        using FuseClient client = new();
        client.Begin();
        (ulong removed, ulong removedHandle) = client.Create(Root, "removed");
        client.Ask(FuseAbi.FUSE_UNLINK, Root, FuseClient.Text("removed"));
        (ulong replaced, ulong replacedHandle) = client.Create(Root, "replaced");
        (ulong vanished, ulong vanishedHandle) = client.Create(Root, "vanished");
        (ulong kept, ulong keptHandle) = client.Create(Root, "kept");
        client.Write(keptHandle, 0, "kept"u8.ToArray());
        ulong directory = FuseClient.Get<fuse_entry_out>(client.Ask(FuseAbi.FUSE_MKDIR, Root, FuseClient.Bytes(new fuse_mkdir_in { mode = 0x1ff }), FuseClient.Text("d"))).nodeid;
        FsState state = client.Shared.Save("t");
        Assert.Empty(state.Nodes.Single(n => n.Id == removed).Path);

        File.Delete(client.Path("vanished"));
        File.WriteAllText(client.Path("other"), "other");
        File.Move(client.Path("other"), client.Path("replaced"), overwrite: true);
        Directory.Delete(client.Path("d"));
        Directory.CreateSymbolicLink(client.Path("d"), "/etc");
        using FuseClient other = new(folder: client.Folder);
        Assert.Equal(4, other.Shared.Restore(state));
        foreach ((ulong node, ulong handle) in (ReadOnlySpan<(ulong, ulong)>)[(removed, removedHandle), (replaced, replacedHandle), (vanished, vanishedHandle)])
        {
            Assert.Equal(Errno.ESTALE, other.Refused(FuseAbi.FUSE_GETATTR, node, FuseClient.Bytes(default(fuse_getattr_in))));
            Assert.Equal(Errno.ESTALE, other.Refused(FuseAbi.FUSE_READ, node, FuseClient.Bytes(new fuse_read_in { fh = handle, size = 10 })));
            other.Release(handle);
            other.Forget(node);
        }

        Assert.Equal(Errno.ESTALE, other.Refused(FuseAbi.FUSE_LOOKUP, directory, FuseClient.Text("passwd")));
        Assert.Equal("kept"u8.ToArray(), other.Read(keptHandle, 0, 100));
        Assert.Equal(2UL, other.Shared.NodeCount);
        Assert.Equal("other", File.ReadAllText(client.Path("replaced")));
        Assert.Equal(kept, other.LookUp(Root, "kept").nodeid);
    }

    [Fact]
    public void A_copy_of_the_folder_will_do()
    {
        using FuseClient client = new();
        using FuseClient copy = new();
        client.Begin();
        (_, ulong handle) = client.Create(Root, "f");
        client.Write(handle, 0, "same"u8.ToArray());
        FsState state = client.Shared.Save("t");
        File.WriteAllText(copy.Path("not-the-first"), "");
        File.Copy(client.Path("f"), copy.Path("f"));
        Assert.Equal(0, copy.Shared.Restore(state));
        Assert.Equal("same"u8.ToArray(), copy.Read(handle, 0, 100));
    }

    /// <summary>The second file system has the device number of the first, and its files other inode numbers of the same few.</summary>
    [SkippableFact]
    public void A_copy_on_a_file_system_made_anew_will_do()
    {
        Skip.IfNot(Environment.IsPrivilegedProcess, "only root can mount");
        string folder = Directory.CreateTempSubdirectory("cnvm-fs-").FullName;
        Mounts.Mount("none", folder, "tmpfs", 0, "size=1m");
        using FuseClient client = new(folder: folder);
        FuseClient? copy = null;
        try
        {
            client.Begin();
            (_, ulong handle) = client.Create(Root, "f");
            client.Write(handle, 0, "same"u8.ToArray());
            FsState state = client.Shared.Save("t");
            client.Shared.Dispose();
            Mounts.Detach(folder);
            Mounts.Mount("none", folder, "tmpfs", 0, "size=1m");
            File.WriteAllText(Path.Combine(folder, "not-the-first"), "");
            File.WriteAllText(Path.Combine(folder, "f"), "same");
            copy = new(folder: folder);
            Assert.Equal(0, copy.Shared.Restore(state));
            Assert.Equal("same"u8.ToArray(), copy.Read(handle, 0, 100));
        }
        finally
        {
            copy?.Shared.Dispose();
            Mounts.UnmountAll(folder);
        }
    }

    [Fact]
    public void A_state_of_nonsense_is_refused_and_paths_in_it_lead_nowhere_else()
    {
        using FuseClient client = new();
        client.Begin();
        (_, ulong handle) = client.Create(Root, "f");
        FsState good = client.Shared.Save("t");
        FsNodeState node = good.Nodes[0];
        foreach (FsState bad in (FsState[])
        [
            good with { Nodes = [node with { Id = 1 }] },
            good with { Nodes = [node, node] },
            good with { Nodes = [node with { Lookups = 0 }] },
            good with { NextNode = node.Id },
            good with { NextHandle = handle },
            good with { Minor = 0 },
            good with { Nodes = [.. Enumerable.Range(2, 4000).Select(i => node with { Id = (ulong)i })], NextNode = 5000 },
        ])
        {
            Assert.Throws<DeviceStateException>(() => client.Shared.Restore(bad));
        }

        Assert.Equal(1UL, client.Shared.NodeCount);
        foreach (string path in (string[])["../../../../../../../etc/passwd", "/etc/passwd", "f/", "./f", "l/passwd", "."])
        {
            Directory.CreateSymbolicLink(client.Path("l"), "/etc");
            Assert.Equal(1, client.Shared.Restore(good with { RootInode = 0, Nodes = [node with { Path = System.Text.Encoding.UTF8.GetBytes(path) }] }));
            File.Delete(client.Path("l"));
        }

        // Handles of something that is none, or that this folder must not write.
        Assert.Equal(0, client.Shared.Restore(good with { Handles = [good.Handles[0] with { Node = 77 }] }));
        Assert.Equal(Errno.ESTALE, client.Refused(FuseAbi.FUSE_READ, node.Id, FuseClient.Bytes(new fuse_read_in { fh = handle, size = 10 })));
        using FuseClient readOnly = new(readOnly: true, folder: client.Folder);
        readOnly.Shared.Restore(good);
        Assert.Equal(Errno.ESTALE, readOnly.Refused(FuseAbi.FUSE_READ, node.Id, FuseClient.Bytes(new fuse_read_in { fh = handle, size = 10 })));
    }
}
