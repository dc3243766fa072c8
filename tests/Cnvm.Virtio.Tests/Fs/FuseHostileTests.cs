using Cnvm.Fuzz;
using Cnvm.Linux;
using Cnvm.Linux.Fuse;

namespace Cnvm.Virtio.Tests.Fs;

/// <summary>Guests that try to leave the folder, to change what they may not, to bind the host's memory, or that talk nonsense.</summary>
public sealed class FuseHostileTests
{
    private const ulong Root = FuseAbi.FUSE_ROOT_ID;

    public static TheoryData<string> BadNames { get; } = ["..", ".", "", "a/b", "/etc", "../x", new string('n', 256)];

    [Theory]
    [MemberData(nameof(BadNames))]
    public void Names_that_are_no_entries_are_refused_everywhere(string name)
    {
        using FuseClient client = new();
        client.Begin();
        (ulong node, _) = client.Create(Root, "f");
        byte[] bad = FuseClient.Text(name);
        byte[] good = FuseClient.Text("f");
        int expected = name.Length > 255 ? Errno.ENAMETOOLONG : Errno.EINVAL;
        void Check(uint operation, params byte[][] arguments) => Assert.Equal((operation, expected), (operation, client.Refused(operation, Root, arguments)));
        Check(FuseAbi.FUSE_LOOKUP, bad);
        Check(FuseAbi.FUSE_UNLINK, bad);
        Check(FuseAbi.FUSE_RMDIR, bad);
        Check(FuseAbi.FUSE_MKDIR, FuseClient.Bytes(new fuse_mkdir_in { mode = 0x1ff }), bad);
        Check(FuseAbi.FUSE_MKNOD, FuseClient.Bytes(new fuse_mknod_in { mode = 0x81ff }), bad);
        Check(FuseAbi.FUSE_SYMLINK, bad, good);
        Check(FuseAbi.FUSE_CREATE, FuseClient.Bytes(new fuse_create_in { flags = 0x42, mode = 0x81ff }), bad);
        Check(FuseAbi.FUSE_LINK, FuseClient.Bytes(new fuse_link_in { oldnodeid = node }), bad);
        Check(FuseAbi.FUSE_RENAME, FuseClient.Bytes(new fuse_rename_in { newdir = Root }), bad, good);
        Check(FuseAbi.FUSE_RENAME, FuseClient.Bytes(new fuse_rename_in { newdir = Root }), good, bad);
        Assert.Equal(["f"], Directory.GetFileSystemEntries(client.Folder).Select(Path.GetFileName));
        Assert.Equal(1UL, client.Shared.NodeCount);
    }

    [Fact]
    public void Names_without_an_end_and_two_where_one_is_are_refused()
    {
        using FuseClient client = new();
        client.Begin();
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_LOOKUP, Root, "abc"u8.ToArray()));
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_LOOKUP, Root));
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_SYMLINK, Root, FuseClient.Text("l")));
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_RENAME, Root, FuseClient.Bytes(new fuse_rename_in { newdir = Root }), FuseClient.Text("l")));
        Assert.Equal(Errno.ENAMETOOLONG, client.Refused(FuseAbi.FUSE_LOOKUP, Root, FuseClient.Text(new string('x', 100_000))));
    }

    [Fact]
    public void Links_lead_nowhere_outside()
    {
        using FuseClient client = new();
        using FuseClient outside = new();
        client.Begin();
        File.WriteAllText(outside.Path("secret"), "s");
        File.CreateSymbolicLink(client.Path("file"), outside.Path("secret"));
        Directory.CreateSymbolicLink(client.Path("folder"), outside.Folder);
        File.CreateSymbolicLink(client.Path("magic"), "/proc/self/root");
        foreach (string name in (string[])["file", "folder", "magic"])
        {
            fuse_entry_out entry = client.LookUp(Root, name);
            Assert.Equal(0xa000u, entry.attr.mode & 0xf000);
            Assert.Equal(Errno.ENOTDIR, client.Refused(FuseAbi.FUSE_LOOKUP, entry.nodeid, FuseClient.Text("secret")));
            Assert.Equal(Errno.ELOOP, client.Refused(FuseAbi.FUSE_OPEN, entry.nodeid, FuseClient.Bytes(new fuse_open_in { flags = 0 })));
            Assert.Equal(Errno.ENOTDIR, client.Refused(FuseAbi.FUSE_OPENDIR, entry.nodeid, FuseClient.Bytes(default(fuse_open_in))));
            Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_SETATTR, entry.nodeid, FuseClient.Bytes(new fuse_setattr_in { valid = FuseAbi.FATTR_SIZE })));
            Assert.Equal(Errno.ENOTDIR, client.Refused(FuseAbi.FUSE_MKDIR, entry.nodeid, FuseClient.Bytes(new fuse_mkdir_in { mode = 0x1ff }), FuseClient.Text("x")));
            Assert.Equal(Errno.ENOTDIR, client.Refused(
                FuseAbi.FUSE_TMPFILE, entry.nodeid, FuseClient.Bytes(new fuse_create_in { flags = 2, mode = 0x8180 }), FuseClient.Text("x")));
        }

        Assert.Equal("s", File.ReadAllText(outside.Path("secret")));
        Assert.Equal(["secret"], Directory.GetFileSystemEntries(outside.Folder).Select(Path.GetFileName));
    }

    /// <summary>The host swaps a directory for a link while the guest works below it: the guest stays in the directory that it had.</summary>
    [Fact]
    public void A_directory_that_becomes_a_link_does_not_carry_the_guest_away()
    {
        using FuseClient client = new();
        using FuseClient outside = new();
        client.Begin();
        Directory.CreateDirectory(client.Path("d"));
        ulong d = client.LookUp(Root, "d").nodeid;
        Directory.Move(client.Path("d"), client.Path("moved"));
        Directory.CreateSymbolicLink(client.Path("d"), outside.Folder);
        client.Create(d, "f");
        Assert.True(File.Exists(client.Path("moved/f")));
        Assert.Empty(Directory.GetFileSystemEntries(outside.Folder));
    }

    [Fact]
    public void A_read_only_folder_stays_as_it_is()
    {
        using FuseClient writer = new();
        writer.Begin();
        File.WriteAllText(writer.Path("f"), "content");
        Directory.CreateDirectory(writer.Path("d"));
        using FuseClient client = new(readOnly: true, folder: writer.Folder);
        client.Begin();
        ulong node = client.LookUp(Root, "f").nodeid;
        ulong handle = client.Open(node, 0);
        byte[] name = FuseClient.Text("f");
        void Check(uint operation, params byte[][] arguments) => Assert.Equal((operation, Errno.EROFS), (operation, client.Refused(operation, Root, arguments)));
        Check(FuseAbi.FUSE_SETATTR, FuseClient.Bytes(new fuse_setattr_in { valid = FuseAbi.FATTR_MODE }));
        Check(FuseAbi.FUSE_SYMLINK, FuseClient.Text("a", "b"));
        Check(FuseAbi.FUSE_MKNOD, FuseClient.Bytes(new fuse_mknod_in { mode = 0x81ff }), FuseClient.Text("a"));
        Check(FuseAbi.FUSE_MKDIR, FuseClient.Bytes(default(fuse_mkdir_in)), FuseClient.Text("a"));
        Check(FuseAbi.FUSE_UNLINK, name);
        Check(FuseAbi.FUSE_RMDIR, FuseClient.Text("d"));
        Check(FuseAbi.FUSE_RENAME, FuseClient.Bytes(new fuse_rename_in { newdir = Root }), FuseClient.Text("f", "g"));
        Check(FuseAbi.FUSE_RENAME2, FuseClient.Bytes(new fuse_rename2_in { newdir = Root }), FuseClient.Text("f", "g"));
        Check(FuseAbi.FUSE_LINK, FuseClient.Bytes(new fuse_link_in { oldnodeid = node }), FuseClient.Text("g"));
        Check(FuseAbi.FUSE_CREATE, FuseClient.Bytes(new fuse_create_in { flags = 0x42, mode = 0x81ff }), FuseClient.Text("g"));
        Check(FuseAbi.FUSE_TMPFILE, FuseClient.Bytes(new fuse_create_in { flags = 2, mode = 0x81ff }), FuseClient.Text("g"));
        Check(FuseAbi.FUSE_WRITE, FuseClient.Bytes(new fuse_write_in { fh = handle, size = 1 }), [1]);
        Check(FuseAbi.FUSE_FALLOCATE, FuseClient.Bytes(new fuse_fallocate_in { fh = handle, length = 1 }));
        Check(FuseAbi.FUSE_COPY_FILE_RANGE, FuseClient.Bytes(new fuse_copy_file_range_in { fh_in = handle, fh_out = handle, len = 1 }));
        Check(FuseAbi.FUSE_SETXATTR, FuseClient.Bytes(new fuse_setxattr_in { size = 1 }), FuseClient.Text("user.x"), [1]);
        Check(FuseAbi.FUSE_REMOVEXATTR, FuseClient.Text("user.x"));
        foreach (uint flags in (uint[])[1, 2, 0x200])
        {
            Assert.Equal(Errno.EROFS, client.Refused(FuseAbi.FUSE_OPEN, node, FuseClient.Bytes(new fuse_open_in { flags = flags })));
        }

        Assert.Equal("content"u8.ToArray(), client.Read(handle, 0, 100));
        Assert.Equal(4, client.List(Root, plus: true).Count);
        Assert.Equal("content", File.ReadAllText(writer.Path("f")));
    }

    [Fact]
    public void What_a_guest_may_remember_and_open_has_an_end()
    {
        using FuseClient client = new(descriptors: 40);
        client.Begin();
        for (int i = 0; i < 50; i++)
        {
            File.WriteAllText(client.Path($"f{i}"), "");
        }

        int before = Directory.GetFiles("/proc/self/fd").Length;
        int full = Enumerable.Range(0, 50).Count(i => client.Try(FuseAbi.FUSE_LOOKUP, Root, FuseClient.Text($"f{i}")).Error == -Errno.ENFILE);
        Assert.Equal((20, 30UL), (full, client.Shared.NodeCount));

        // A listing goes on, with entries that have no number.
        List<(string Name, ulong Node, uint Type)> list = client.List(Root, plus: true);
        Assert.Equal((52, 30), (list.Count, list.Count(e => e.Node != 0)));
        ulong node = client.LookUp(Root, "f0").nodeid;
        for (int i = 0; i < 10; i++)
        {
            client.Open(node, 0);
        }

        Assert.Equal(Errno.ENFILE, client.Refused(FuseAbi.FUSE_OPEN, node, FuseClient.Bytes(default(fuse_open_in))));
        Assert.Equal(Errno.ENFILE, client.Refused(
            FuseAbi.FUSE_CREATE, Root, FuseClient.Bytes(new fuse_create_in { flags = 0x42, mode = 0x81a4 }), FuseClient.Text("new")));
        client.Shared.Clear();

        // Other tests open and close files at the same time; forty would still show.
        Assert.InRange(Directory.GetFiles("/proc/self/fd").Length, 0, before + 20);
    }

    [Fact]
    public void Headers_that_lie_and_handles_that_never_were_get_an_error_or_nothing()
    {
        using FuseClient client = new();
        client.Begin();
        (ulong node, ulong handle) = client.Create(Root, "f");

        // Too short for a header: nothing. Without room for an answer: nothing.
        Assert.Null(client.Send([], 100));
        Assert.Null(client.Send(new byte[39], 100));
        Assert.Null(client.Send(FuseClient.Bytes(client.Header(FuseAbi.FUSE_STATFS, Root, 40)), 0));
        Assert.Null(client.Send(FuseClient.Bytes(client.Header(FuseAbi.FUSE_STATFS, Root, 40)), 15));

        // Room for an error only.
        Assert.Equal(-Errno.EINVAL, Error(client.Send(FuseClient.Bytes(client.Header(FuseAbi.FUSE_STATFS, Root, 40)), 16)));
        foreach (uint length in (uint[])[0, 39, 41, uint.MaxValue])
        {
            Assert.Equal(-Errno.EINVAL, Error(client.Send(FuseClient.Bytes(client.Header(FuseAbi.FUSE_STATFS, Root, length)), 200)));
        }

        // What lies behind the length that the header gives is not read.
        fuse_in_header header = client.Header(FuseAbi.FUSE_LOOKUP, Root, 41);
        Assert.Equal(-Errno.EINVAL, Error(client.Send([.. FuseClient.Bytes(header), .. FuseClient.Text("f")], 500)));
        Assert.Equal(Errno.ENOSYS, client.Refused(12345, Root));
        Assert.Equal(Errno.ENOENT, client.Refused(FuseAbi.FUSE_STATFS, 999));
        Assert.Equal(Errno.ENOENT, client.Refused(FuseAbi.FUSE_STATFS, 0));
        Assert.Equal(Errno.EBADF, client.Refused(FuseAbi.FUSE_RELEASE, node, FuseClient.Bytes(new fuse_release_in { fh = ulong.MaxValue })));
        byte[] Write(uint size, ulong offset = 0) => FuseClient.Bytes(new fuse_write_in { fh = handle, size = size, offset = offset });
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_WRITE, node, Write(5), [1, 2, 3, 4]));
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_WRITE, node, Write(uint.MaxValue), [1]));
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_WRITE, node, Write(1, 1UL << 63), [1]));
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_READ, node, FuseClient.Bytes(new fuse_read_in { fh = handle, offset = ulong.MaxValue })));
        Assert.Empty(client.Read(handle, 0, int.MaxValue));
        Assert.Equal(Errno.E2BIG, client.Refused(FuseAbi.FUSE_SETXATTR, node, FuseClient.Bytes(new fuse_setxattr_in { size = 1 << 20 }), FuseClient.Text("user.x")));
        Assert.Equal(Errno.EINVAL, client.Refused(FuseAbi.FUSE_SETXATTR, node, FuseClient.Bytes(new fuse_setxattr_in { size = 100 }), FuseClient.Text("user.x")));

        // A batch that claims more than it has.
        byte[] batch = [.. FuseClient.Bytes(new fuse_batch_forget_in { count = uint.MaxValue }), .. FuseClient.Bytes(new fuse_forget_one { nodeid = node, nlookup = ulong.MaxValue })];
        Assert.Null(client.Send([.. FuseClient.Bytes(client.Header(FuseAbi.FUSE_BATCH_FORGET, 0, 40 + (uint)batch.Length)), .. batch], 0));
        Assert.Equal(0UL, client.Shared.NodeCount);
        Assert.Equal(0, new FileInfo(client.Path("f")).Length);
    }

    /// <summary>Requests of noise, mostly with a sound header, in pieces cut anywhere. CNVM_SOAK=1 or CNVM_FUZZ_SECONDS=N goes on longer.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Noise_does_no_harm(int seed)
    {
        using FuseClient outside = new();
        using FuseClient client = new(descriptors: 200, locks: true);
        File.WriteAllText(outside.Path("secret"), "s");
        Directory.CreateSymbolicLink(client.Path("way-out"), outside.Folder);
        const int SoakSeconds = 600;
        long deadline = Environment.TickCount64 + (SeededRuns.Seconds(SoakSeconds) * 1000L);
        Random random = new(SeededRuns.First(0, SoakSeconds) + seed);
        client.Begin();
        for (int i = 0; i < 30_000 || Environment.TickCount64 < deadline; i++)
        {
            Disturb(client, random);
        }

        client.Begin();
        (_, ulong handle) = client.Create(Root, "still-works");
        client.Write(handle, 0, "x"u8.ToArray());
        Assert.Equal("s", File.ReadAllText(outside.Path("secret")));
        Assert.Equal(["secret"], Directory.GetFileSystemEntries(outside.Folder).Select(Path.GetFileName));
    }

    private static int Error(byte[]? answer) => FuseClient.Get<fuse_out_header>(answer).error;

    private static void Disturb(FuseClient client, Random random)
    {
        string[] names = ["a", "b", "c", "way-out", "..", ".", "d/e", "way-out/secret", "user.x", new('n', 255), "\u00e4"];
        byte[] body = new byte[random.Next(4) == 0 ? random.Next(6000) : random.Next(130)];
        random.NextBytes(body);

        // Small numbers, so that handles, nodes, flags, offsets and sizes mean something.
        for (int at = 0; at + 8 <= body.Length; at += 8)
        {
            if (random.Next(3) != 0)
            {
                BitConverter.TryWriteBytes(body.AsSpan(at), (ulong)random.Next(64) << random.Next(3) switch { 0 => 32, _ => 0 });
            }
        }

        byte[] texts = FuseClient.Text([.. Enumerable.Range(0, random.Next(3)).Select(_ => names[random.Next(names.Length)])]);
        int head = random.Next(12) * 8;
        body = random.Next(3) == 0 ? body : [.. body.AsSpan(0, Math.Min(head, body.Length)), .. texts];
        uint operation = random.Next(50) == 0 ? (uint)random.Next() : (uint)random.Next(1, 52);
        operation = operation is FuseAbi.FUSE_INIT or FuseAbi.FUSE_DESTROY or FuseAbi.FUSE_SYNCFS or FuseAbi.FUSE_FSYNC && random.Next(20) != 0 ? FuseAbi.FUSE_LOOKUP : operation;
        if (operation is FuseAbi.FUSE_FALLOCATE or FuseAbi.FUSE_COPY_FILE_RANGE)
        {
            // Not the whole disk of whoever runs the tests.
            for (int i = 8; i < body.Length; i++)
            {
                body[i] = i % 8 < 2 ? body[i] : (byte)0;
            }
        }

        uint length = random.Next(30) == 0 ? (uint)random.Next() : (uint)(40 + body.Length);
        fuse_in_header header = client.Header(operation, random.Next(30) == 0 ? (ulong)random.NextInt64() : (ulong)random.Next(1, 60), length);
        byte[] request = [.. FuseClient.Bytes(header), .. body];
        int room = random.Next(5) switch { 0 => random.Next(200), 1 => 16, _ => 9000 };
        byte[]? answer = client.Send(request[..(random.Next(40) == 0 ? random.Next(request.Length) : request.Length)], room, random.Next(100), random.Next(100));
        if (answer is not null)
        {
            Assert.Equal((uint)answer.Length, FuseClient.Get<fuse_out_header>(answer).len);
            Assert.InRange(FuseClient.Get<fuse_out_header>(answer).error, -133, 0);
        }
    }
}
