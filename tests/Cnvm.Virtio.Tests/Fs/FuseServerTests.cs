using System.Text;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;
using Cnvm.Virtio.Fs;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>Every operation of the FUSE server, seen from both sides of the folder.</summary>
public sealed class FuseServerTests : IDisposable
{
    private const ulong Root = FuseAbi.FUSE_ROOT_ID;
    private readonly FuseClient _client = new();

    public FuseServerTests() => _client.Begin();

    private static bool IsRoot => Environment.UserName == "root";

    public void Dispose() => _client.Dispose();

    [Theory]
    [InlineData(nameof(FsCacheMode.Auto), FuseAbi.FUSE_AUTO_INVAL_DATA, FuseAbi.FUSE_WRITEBACK_CACHE, 1UL, 0U)]
    [InlineData(nameof(FsCacheMode.Always), FuseAbi.FUSE_WRITEBACK_CACHE, FuseAbi.FUSE_AUTO_INVAL_DATA, 86400UL, FuseAbi.FOPEN_KEEP_CACHE)]
    [InlineData(nameof(FsCacheMode.None), FuseAbi.FUSE_BIG_WRITES, FuseAbi.FUSE_AUTO_INVAL_DATA | FuseAbi.FUSE_WRITEBACK_CACHE, 0UL, FuseAbi.FOPEN_DIRECT_IO)]
    public void The_cache_mode_decides_what_is_agreed_on(string mode, uint with, uint without, ulong valid, uint open)
    {
        using FuseClient client = new(cache: Enum.Parse<FsCacheMode>(mode));
        fuse_init_out init = client.Begin();
        Assert.Equal((7u, 38u), (init.major, init.minor));
        Assert.Equal(with, init.flags & with);
        Assert.Equal(0u, init.flags & without);
        Assert.Equal(1u << 20, init.max_write);
        Assert.Equal(256, init.max_pages);
        File.WriteAllText(client.Path("f"), "x");
        fuse_entry_out entry = client.LookUp(Root, "f");
        Assert.Equal((valid, valid), (entry.attr_valid, entry.entry_valid));
        Assert.Equal(open, FuseClient.Get<fuse_open_out>(client.Ask(FuseAbi.FUSE_OPEN, entry.nodeid, FuseClient.Bytes(default(fuse_open_in)))).open_flags);

        // Never more than was asked for.
        Assert.Equal(FuseAbi.FUSE_MAX_PAGES, client.Begin(FuseAbi.FUSE_MAX_PAGES).flags);
    }

    [Fact]
    public void Only_a_protocol_that_is_known_begins_a_session()
    {
        using FuseClient client = new();
        Assert.Equal(Errno.EPROTO, client.Refused(FuseAbi.FUSE_GETATTR, Root, FuseClient.Bytes(default(fuse_getattr_in))));
        Assert.Equal(Errno.EPROTO, client.Refused(FuseAbi.FUSE_INIT, 0, FuseClient.Bytes(new fuse_init_in { major = 6, minor = 99 })));
        Assert.Equal(Errno.EPROTO, client.Refused(FuseAbi.FUSE_INIT, 0, FuseClient.Bytes(new fuse_init_in { major = 7, minor = 30 })));
        Assert.Equal(7u, FuseClient.Get<fuse_init_out>(client.Ask(FuseAbi.FUSE_INIT, 0, FuseClient.Bytes(new fuse_init_in { major = 8 }))).major);
        Assert.False(client.Shared.IsInitialised);
        client.Begin();
        Assert.True(client.Shared.IsInitialised);
        client.Ask(FuseAbi.FUSE_DESTROY, 0);
        Assert.Equal(Errno.EPROTO, client.Refused(FuseAbi.FUSE_GETATTR, Root, FuseClient.Bytes(default(fuse_getattr_in))));
    }

    [Fact]
    public void Files_are_made_written_read_and_looked_up()
    {
        (ulong node, ulong handle) = _client.Create(Root, "a", 0x1a0);
        byte[] data = new byte[300_000];
        new Random(1).NextBytes(data);
        Assert.Equal(data.Length, _client.Write(handle, 0, data));
        Assert.Equal(data, File.ReadAllBytes(_client.Path("a")));
        Assert.Equal(data[1000..251_000], _client.Read(handle, 1000, 250_000));
        Assert.Equal(data[^10..], _client.Read(handle, data.Length - 10, 4096));
        Assert.Empty(_client.Read(handle, data.Length + 10, 4096));
        _client.Ask(FuseAbi.FUSE_FLUSH, node, FuseClient.Bytes(new fuse_flush_in { fh = handle }));
        _client.Ask(FuseAbi.FUSE_FSYNC, node, FuseClient.Bytes(new fuse_fsync_in { fh = handle, fsync_flags = 1 }));
        _client.Release(handle);
        Assert.Equal(Errno.EBADF, _client.Refused(FuseAbi.FUSE_READ, node, FuseClient.Bytes(new fuse_read_in { fh = handle, size = 10 })));

        fuse_entry_out entry = _client.LookUp(Root, "a");
        Assert.Equal(node, entry.nodeid);
        Assert.Equal((300_000UL, 0x81a0u, 1u), (entry.attr.size, entry.attr.mode, entry.attr.nlink));
        Assert.Equal(Errno.ENOENT, _client.Refused(FuseAbi.FUSE_LOOKUP, Root, FuseClient.Text("b")));

        // The node is there until both lookups are forgotten.
        _client.Forget(node);
        Assert.Equal(300_000UL, _client.Attributes(node).size);
        _client.Forget(node, 5);
        Assert.Equal(Errno.ENOENT, _client.Refused(FuseAbi.FUSE_GETATTR, node, FuseClient.Bytes(default(fuse_getattr_in))));
        Assert.Equal((0UL, 0UL), (_client.Shared.NodeCount, _client.Shared.HandleCount));
        _client.Forget(Root, 100);
        Assert.Equal(_client.Shared.RootInode, _client.Attributes(Root).ino);
    }

    [Fact]
    public void Creating_what_is_there_opens_it_unless_it_must_be_new()
    {
        File.WriteAllText(_client.Path("f"), "there");
        (_, ulong handle) = _client.Create(Root, "f");
        Assert.Equal("there"u8.ToArray(), _client.Read(handle, 0, 100));
        Assert.Equal(Errno.EEXIST, _client.Refused(
            FuseAbi.FUSE_CREATE, Root, FuseClient.Bytes(new fuse_create_in { flags = 0xc2, mode = 0x81a4 }), FuseClient.Text("f")));
        Directory.CreateDirectory(_client.Path("d"));
        File.CreateSymbolicLink(_client.Path("l"), "/etc/passwd");
        foreach ((string name, int error) in (ReadOnlySpan<(string, int)>)[("d", Errno.EISDIR), ("l", Errno.ELOOP)])
        {
            Assert.Equal(error, _client.Refused(
                FuseAbi.FUSE_CREATE, Root, FuseClient.Bytes(new fuse_create_in { flags = 0x42, mode = 0x81a4 }), FuseClient.Text(name)));
        }
    }

    [Fact]
    public void An_open_file_lives_on_when_it_is_removed_and_when_it_is_renamed()
    {
        (ulong node, ulong handle) = _client.Create(Root, "a");
        _client.Write(handle, 0, "first"u8.ToArray());
        _client.Ask(FuseAbi.FUSE_RENAME, Root, FuseClient.Bytes(new fuse_rename_in { newdir = Root }), FuseClient.Text("a", "b"));
        Assert.Equal(node, _client.LookUp(Root, "b").nodeid);
        _client.Ask(FuseAbi.FUSE_UNLINK, Root, FuseClient.Text("b"));
        Assert.Equal("first"u8.ToArray(), _client.Read(handle, 0, 100));

        // The node too can be opened and changed still.
        ulong again = _client.Open(node);
        _client.Write(again, 5, " last"u8.ToArray());
        Assert.Equal("first last"u8.ToArray(), _client.Read(handle, 0, 100));
        Assert.Equal((0u, 4UL), (_client.Change(node, new fuse_setattr_in { valid = FuseAbi.FATTR_SIZE, size = 4 }).nlink, _client.Attributes(node).size));
        Assert.Empty(Directory.GetFileSystemEntries(_client.Folder));
    }

    [Fact]
    public void Names_are_exchanged_and_kept()
    {
        File.WriteAllText(_client.Path("a"), "A");
        Directory.CreateDirectory(_client.Path("d"));
        File.WriteAllText(_client.Path("d/b"), "B");
        ulong d = _client.LookUp(Root, "d").nodeid;
        byte[] Rename(uint flags) => FuseClient.Bytes(new fuse_rename2_in { newdir = d, flags = flags });
        Assert.Equal(Errno.EEXIST, _client.Refused(FuseAbi.FUSE_RENAME2, Root, Rename(1), FuseClient.Text("a", "b")));
        _client.Ask(FuseAbi.FUSE_RENAME2, Root, Rename(2), FuseClient.Text("a", "b"));
        Assert.Equal(("B", "A"), (File.ReadAllText(_client.Path("a")), File.ReadAllText(_client.Path("d/b"))));
        Assert.Equal(Errno.EINVAL, _client.Refused(FuseAbi.FUSE_RENAME2, Root, Rename(0x80), FuseClient.Text("a", "b")));
        Assert.Equal(Errno.ENOTEMPTY, _client.Refused(FuseAbi.FUSE_RMDIR, Root, FuseClient.Text("d")));
        _client.Ask(FuseAbi.FUSE_UNLINK, d, FuseClient.Text("b"));
        _client.Ask(FuseAbi.FUSE_RMDIR, Root, FuseClient.Text("d"));
        Assert.Equal(["a"], Directory.GetFileSystemEntries(_client.Folder).Select(Path.GetFileName));
    }

    [Fact]
    public void Links_of_both_kinds_are_what_they_are()
    {
        (ulong node, _) = _client.Create(Root, "a");
        fuse_entry_out hard = FuseClient.Get<fuse_entry_out>(
            _client.Ask(FuseAbi.FUSE_LINK, Root, FuseClient.Bytes(new fuse_link_in { oldnodeid = node }), FuseClient.Text("b")));
        Assert.Equal((node, 2u), (hard.nodeid, hard.attr.nlink));
        fuse_entry_out soft = FuseClient.Get<fuse_entry_out>(_client.Ask(FuseAbi.FUSE_SYMLINK, Root, FuseClient.Text("l", "../../etc/passwd")));
        Assert.Equal("../../etc/passwd"u8.ToArray(), _client.Ask(FuseAbi.FUSE_READLINK, soft.nodeid));
        Assert.Equal(0xa000u, soft.attr.mode & 0xf000);

        // A hard link to the symbolic one, not to where it leads.
        fuse_entry_out both = FuseClient.Get<fuse_entry_out>(
            _client.Ask(FuseAbi.FUSE_LINK, Root, FuseClient.Bytes(new fuse_link_in { oldnodeid = soft.nodeid }), FuseClient.Text("m")));
        Assert.Equal(soft.nodeid, both.nodeid);
        Assert.Equal(Errno.EINVAL, _client.Refused(FuseAbi.FUSE_READLINK, node));
        Assert.Equal(Errno.ENAMETOOLONG, _client.Refused(FuseAbi.FUSE_SYMLINK, Root, FuseClient.Text("n", new string('x', 9000))));
    }

    [Fact]
    public void Attributes_are_changed_as_asked()
    {
        (ulong node, ulong handle) = _client.Create(Root, "a");
        fuse_attr attr = _client.Change(node, new fuse_setattr_in
        {
            valid = FuseAbi.FATTR_MODE | FuseAbi.FATTR_SIZE | FuseAbi.FATTR_FH | FuseAbi.FATTR_ATIME | FuseAbi.FATTR_MTIME,
            mode = 0x180, size = 12345, fh = handle, atime = 1000, atimensec = 7, mtime = 2000, mtimensec = 8,
        });
        Assert.Equal((0x8180u, 12345UL, 1000UL, 7u, 2000UL, 8u), (attr.mode, attr.size, attr.atime, attr.atimensec, attr.mtime, attr.mtimensec));
        attr = _client.Change(node, new fuse_setattr_in { valid = FuseAbi.FATTR_MTIME | FuseAbi.FATTR_MTIME_NOW });
        Assert.Equal(1000UL, attr.atime);
        Assert.InRange(attr.mtime, (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds() - 60, (ulong)DateTimeOffset.UtcNow.ToUnixTimeSeconds() + 1);
        fuse_entry_out link = FuseClient.Get<fuse_entry_out>(_client.Ask(FuseAbi.FUSE_SYMLINK, Root, FuseClient.Text("l", "a")));
        attr = _client.Change(link.nodeid, new fuse_setattr_in { valid = FuseAbi.FATTR_MTIME, mtime = 3000 });
        Assert.Equal(3000UL, attr.mtime);
        Assert.NotEqual(3000UL, _client.Attributes(node).mtime);
        byte[] mode = FuseClient.Bytes(new fuse_setattr_in { valid = FuseAbi.FATTR_MODE, mode = 0 });
        Assert.Equal(Errno.EOPNOTSUPP, _client.Refused(FuseAbi.FUSE_SETATTR, link.nodeid, mode));
        byte[] size = FuseClient.Bytes(new fuse_setattr_in { valid = FuseAbi.FATTR_SIZE, size = ulong.MaxValue });
        Assert.Equal(Errno.EINVAL, _client.Refused(FuseAbi.FUSE_SETATTR, node, size));

        fuse_kstatfs status = FuseClient.Get<fuse_statfs_out>(_client.Ask(FuseAbi.FUSE_STATFS, node)).st;
        Assert.True(status.blocks > 0 && status.namelen == 255);
        _client.Ask(FuseAbi.FUSE_ACCESS, node, FuseClient.Bytes(new fuse_access_in { mask = 6 }));
        _client.User = 12345;
        Assert.Equal(Errno.EACCES, _client.Refused(FuseAbi.FUSE_ACCESS, node, FuseClient.Bytes(new fuse_access_in { mask = 4 })));
    }

    [SkippableFact]
    public void What_is_made_belongs_to_who_makes_it()
    {
        Skip.IfNot(IsRoot, "only root makes files for others");
        _client.User = 1234;
        _client.Group = 5678;
        (ulong node, _) = _client.Create(Root, "a", 0x9ed);
        fuse_attr a = _client.Attributes(node);
        Assert.Equal((1234u, 5678u, 0x89edu), (a.uid, a.gid, a.mode));
        a = FuseClient.Get<fuse_entry_out>(_client.Ask(FuseAbi.FUSE_MKDIR, Root, FuseClient.Bytes(new fuse_mkdir_in { mode = 0x1c0 }), FuseClient.Text("d"))).attr;
        Assert.Equal((1234u, 5678u, 0x41c0u), (a.uid, a.gid, a.mode));
        a = FuseClient.Get<fuse_entry_out>(_client.Ask(FuseAbi.FUSE_SYMLINK, Root, FuseClient.Text("l", "x"))).attr;
        Assert.Equal((1234u, 5678u), (a.uid, a.gid));

        // This thread is root again.
        File.WriteAllText(_client.Path("mine"), "");
        Assert.Equal(0u, _client.LookUp(Root, "mine").attr.uid);
        a = _client.Change(node, new fuse_setattr_in { valid = FuseAbi.FATTR_UID | FuseAbi.FATTR_MODE, uid = 99, mode = 0x9ed });
        Assert.Equal((99u, 5678u, 0x89edu), (a.uid, a.gid, a.mode));
    }

    [SkippableFact]
    public void Users_have_other_numbers_on_the_host()
    {
        Skip.IfNot(IsRoot, "only root makes files for others");
        using var client = new FuseClient(folder: _client.Folder, users: [new IdRange(0, 100_000, 1000), new IdRange(2000, 500, 10)]);
        client.Begin();
        fuse_attr OnHost(string name) => _client.LookUp(Root, name).attr;

        (ulong node, _) = client.Create(Root, "root", 0x1a4);
        Assert.Equal((0u, 100_000u), (client.Attributes(node).uid, OnHost("root").uid));
        client.User = 2009;
        client.Group = 7;
        (node, _) = client.Create(Root, "last", 0x1a4);
        Assert.Equal((2009u, 509u, 7u), (client.Attributes(node).uid, OnHost("last").uid, OnHost("last").gid));
        fuse_attr a = client.Change(node, new fuse_setattr_in { valid = FuseAbi.FATTR_UID, uid = 999 });
        Assert.Equal((999u, 100_999u), (a.uid, OnHost("last").uid));

        // The mode counts for the owner, whose number is another one.
        client.User = 999;
        client.Change(node, new fuse_setattr_in { valid = FuseAbi.FATTR_MODE, mode = 0x100 });
        client.Ask(FuseAbi.FUSE_ACCESS, node, FuseClient.Bytes(new fuse_access_in { mask = 4 }));
        client.User = 998;
        Assert.Equal(Errno.EACCES, client.Refused(FuseAbi.FUSE_ACCESS, node, FuseClient.Bytes(new fuse_access_in { mask = 4 })));

        // Whoever is in no range is nobody, makes nothing and is given nothing.
        File.WriteAllText(client.Path("mine"), "");
        Assert.Equal(65534u, client.LookUp(Root, "mine").attr.uid);
        foreach (uint user in (uint[])[1000, 1999, 2010, 100_000, uint.MaxValue])
        {
            client.User = user;
            Assert.Equal(Errno.EOVERFLOW, client.Refused(FuseAbi.FUSE_MKDIR, Root, FuseClient.Bytes(new fuse_mkdir_in { mode = 0x1c0 }), FuseClient.Text("d")));
            Assert.Equal(
                Errno.EOVERFLOW,
                client.Refused(FuseAbi.FUSE_CREATE, Root, FuseClient.Bytes(new fuse_create_in { flags = 2, mode = 0x1a4 }), FuseClient.Text("f")));
            Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_SETATTR, node, FuseClient.Bytes(new fuse_setattr_in { valid = FuseAbi.FATTR_UID, uid = user })));
        }

        Assert.Equal(["last", "mine", "root"], Directory.GetFileSystemEntries(client.Folder).Select(f => Path.GetFileName(f)).Order());
    }

    [Fact]
    public void Special_files_are_made_but_neither_devices_nor_opened()
    {
        byte[] Node(uint mode, uint device = 0) => FuseClient.Bytes(new fuse_mknod_in { mode = mode, rdev = device });
        fuse_entry_out fifo = FuseClient.Get<fuse_entry_out>(_client.Ask(FuseAbi.FUSE_MKNOD, Root, Node(0x11a4), FuseClient.Text("fifo")));
        Assert.Equal(0x11a4u, fifo.attr.mode);
        Assert.Equal(Errno.ENXIO, _client.Refused(FuseAbi.FUSE_OPEN, fifo.nodeid, FuseClient.Bytes(new fuse_open_in { flags = 0 })));
        Assert.Equal(0xc1a4u, FuseClient.Get<fuse_entry_out>(_client.Ask(FuseAbi.FUSE_MKNOD, Root, Node(0xc1a4), FuseClient.Text("socket"))).attr.mode);
        Assert.Equal(0x81a4u, FuseClient.Get<fuse_entry_out>(_client.Ask(FuseAbi.FUSE_MKNOD, Root, Node(0x81a4), FuseClient.Text("file"))).attr.mode);
        Assert.Equal(Errno.EPERM, _client.Refused(FuseAbi.FUSE_MKNOD, Root, Node(0x6180, 0x800), FuseClient.Text("disk")));
        Assert.Equal(Errno.EPERM, _client.Refused(FuseAbi.FUSE_MKNOD, Root, Node(0x2180, 0x103), FuseClient.Text("null")));
        Assert.Equal(Errno.EPERM, _client.Refused(FuseAbi.FUSE_MKNOD, Root, Node(0x4180), FuseClient.Text("directory")));
    }

    [Theory]
    [InlineData(true, 4096, 2000)]
    [InlineData(false, 4096, 2000)]
    [InlineData(true, 512, 100)]
    [InlineData(false, 65536, 2000)]
    public void Entries_of_a_directory_are_read_once_each(bool plus, int size, int count)
    {
        string[] names = [.. Enumerable.Range(0, count).Select(i => (i % 3) switch { 0 => $"{i}", 1 => $"{i}{new string('n', 200)}", _ => $"{i}ä" })];
        foreach (string name in names)
        {
            File.WriteAllText(_client.Path(name), "");
        }

        List<(string Name, ulong Node, uint Type)> found = _client.List(Root, plus, size);
        Assert.Equal(names.Concat([".", ".."]).Order(StringComparer.Ordinal), found.Select(f => f.Name).Order(StringComparer.Ordinal));
        Assert.All(found.Where(f => f.Name[0] == '.'), f => Assert.Equal((plus ? 0 : _client.Shared.RootInode, 4u), (f.Node, f.Type)));
        Assert.All(found.Where(f => f.Name[0] != '.'), f => Assert.NotEqual(0UL, f.Node));
        Assert.Equal(plus ? (ulong)count : 0, _client.Shared.NodeCount);
        if (plus)
        {
            Assert.Equal(found.First(f => f.Name == "0").Node, _client.LookUp(Root, "0").nodeid);
        }
    }

    [Fact]
    public void Directories_are_read_from_any_place_again()
    {
        for (int i = 0; i < 50; i++)
        {
            File.WriteAllText(_client.Path($"f{i}"), "");
        }

        ulong handle = _client.OpenDirectory(Root);
        byte[] Read(ulong offset) => _client.Ask(FuseAbi.FUSE_READDIR, Root, FuseClient.Bytes(new fuse_read_in { fh = handle, offset = offset, size = 1024 }));
        byte[] first = Read(0);
        ulong second = FuseClient.Get<fuse_dirent>(first).off;
        byte[] rest = Read(second);
        Assert.Equal(first, Read(0));
        Assert.Equal(rest, Read(second));
        _client.Ask(FuseAbi.FUSE_FSYNCDIR, Root, FuseClient.Bytes(new fuse_fsync_in { fh = handle }));
        Assert.Equal(Errno.EBADF, _client.Refused(FuseAbi.FUSE_READ, Root, FuseClient.Bytes(new fuse_read_in { fh = handle, size = 10 })));
        _client.Ask(FuseAbi.FUSE_SYNCFS, Root, FuseClient.Bytes(default(ulong)));
    }

    [SkippableFact]
    public void Extended_attributes_go_through_but_for_labels_and_access_lists()
    {
        (ulong node, _) = _client.Create(Root, "a");
        byte[] Set(int size, uint flags = 0) => FuseClient.Bytes(new fuse_setxattr_in { size = (uint)size, flags = flags });
        byte[] Get(uint size) => FuseClient.Bytes(new fuse_getxattr_in { size = size });
        (int error, _) = _client.Try(FuseAbi.FUSE_SETXATTR, node, Set(3), FuseClient.Text("user.x"), "abc"u8.ToArray());
        Skip.If(error == -Errno.EOPNOTSUPP, "the file system of the temporary directory has no user.* attributes");
        Assert.Equal(0, error);
        Assert.Equal(Errno.EEXIST, _client.Refused(FuseAbi.FUSE_SETXATTR, node, Set(1, 1), FuseClient.Text("user.x"), "z"u8.ToArray()));
        Assert.Equal(3u, FuseClient.Get<fuse_getxattr_out>(_client.Ask(FuseAbi.FUSE_GETXATTR, node, Get(0), FuseClient.Text("user.x"))).size);
        Assert.Equal("abc"u8.ToArray(), _client.Ask(FuseAbi.FUSE_GETXATTR, node, Get(100), FuseClient.Text("user.x")));
        Assert.Equal(Errno.ERANGE, _client.Refused(FuseAbi.FUSE_GETXATTR, node, Get(2), FuseClient.Text("user.x")));
        Assert.Contains("user.x\0", Encoding.UTF8.GetString(_client.Ask(FuseAbi.FUSE_LISTXATTR, node, Get(1000))), StringComparison.Ordinal);
        _client.Ask(FuseAbi.FUSE_REMOVEXATTR, node, FuseClient.Text("user.x"));
        Assert.Equal(Errno.ENODATA, _client.Refused(FuseAbi.FUSE_GETXATTR, node, Get(100), FuseClient.Text("user.x")));
        foreach (string name in (string[])["security.selinux", "system.posix_acl_access", "nonsense"])
        {
            Assert.Equal(Errno.EOPNOTSUPP, _client.Refused(FuseAbi.FUSE_SETXATTR, node, Set(1), FuseClient.Text(name), "z"u8.ToArray()));
            Assert.Equal(Errno.EOPNOTSUPP, _client.Refused(FuseAbi.FUSE_REMOVEXATTR, node, FuseClient.Text(name)));
        }
    }

    [Fact]
    public void Space_is_allocated_found_and_copied()
    {
        (ulong node, ulong handle) = _client.Create(Root, "a");
        _client.Write(handle, 1 << 20, "data"u8.ToArray());
        ulong Seek(ulong offset, uint whence) =>
            FuseClient.Get<fuse_lseek_out>(_client.Ask(FuseAbi.FUSE_LSEEK, node, FuseClient.Bytes(new fuse_lseek_in { fh = handle, offset = offset, whence = whence }))).offset;
        Assert.InRange(Seek(0, 3), 1UL << 19, 1UL << 20);
        Assert.Equal((1UL << 20) + 4, Seek(1 << 20, 4));
        Assert.Equal(Errno.ENXIO, _client.Refused(FuseAbi.FUSE_LSEEK, node, FuseClient.Bytes(new fuse_lseek_in { fh = handle, offset = 1 << 30, whence = 3 })));
        _client.Ask(FuseAbi.FUSE_FALLOCATE, node, FuseClient.Bytes(new fuse_fallocate_in { fh = handle, offset = 0, length = 2 << 20 }));
        Assert.Equal(2UL << 20, _client.Attributes(node).size);

        (_, ulong to) = _client.Create(Root, "b");
        var copy = new fuse_copy_file_range_in { fh_in = handle, off_in = 1 << 20, fh_out = to, off_out = 100, len = 4 };
        Assert.Equal(4u, FuseClient.Get<fuse_write_out>(_client.Ask(FuseAbi.FUSE_COPY_FILE_RANGE, node, FuseClient.Bytes(copy))).size);
        Assert.Equal("data"u8.ToArray(), _client.Read(to, 100, 100));
    }

    [SkippableFact]
    public void A_file_without_a_name_gets_one()
    {
        (int error, byte[] body) = _client.Try(
            FuseAbi.FUSE_TMPFILE, Root, FuseClient.Bytes(new fuse_create_in { flags = 2, mode = 0x8180 }), FuseClient.Text("tmp"));
        Skip.If(error == -Errno.EOPNOTSUPP, "the file system of the temporary directory has no files without a name");
        Assert.Equal(0, error);
        fuse_entry_out entry = FuseClient.Get<fuse_entry_out>(body);
        ulong handle = FuseClient.Get<fuse_open_out>(body.AsSpan(128)).fh;
        _client.Write(handle, 0, "x"u8.ToArray());
        Assert.Empty(Directory.GetFileSystemEntries(_client.Folder));
        _client.Ask(FuseAbi.FUSE_LINK, Root, FuseClient.Bytes(new fuse_link_in { oldnodeid = entry.nodeid }), FuseClient.Text("named"));
        Assert.Equal("x", File.ReadAllText(_client.Path("named")));
    }

    [Fact]
    public void With_writes_cached_in_the_guest_files_can_be_read_and_appending_is_its_business()
    {
        using FuseClient client = new(cache: FsCacheMode.Always);
        client.Begin();
        (_, ulong handle) = client.Create(Root, "a", flags: 1 | 0x400);
        client.Write(handle, 0, "0123456789"u8.ToArray());
        client.Write(handle, 2, "x"u8.ToArray());
        Assert.Equal("01x3456789"u8.ToArray(), client.Read(handle, 0, 100));
        (_, handle) = _client.Create(Root, "a", flags: 1 | 0x400);
        _client.Write(handle, 0, "0123456789"u8.ToArray());
        _client.Write(handle, 2, "x"u8.ToArray());
        Assert.Equal("0123456789x", File.ReadAllText(_client.Path("a")));
        Assert.Equal(Errno.EBADF, _client.Refused(FuseAbi.FUSE_READ, 0, FuseClient.Bytes(new fuse_read_in { fh = handle, size = 10 })));
    }
}
