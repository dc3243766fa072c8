using System.Net.Sockets;
using System.Runtime.Versioning;
using Cnvm.Linux;

namespace Cnvm.Api.Tests;

/// <summary>The socket file: who may serve it, and what is left behind.</summary>
[SupportedOSPlatform("linux")]
public sealed class SocketTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-socket").FullName;

    private string SocketPath => Path.Combine(_folder, "s");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Nothing_is_left_behind()
    {
        using (UnixListener.Bind(SocketPath, 1))
        {
            Assert.True(Path.Exists(SocketPath));
            Assert.True(Path.Exists(SocketPath + ".lock"));
        }

        Assert.Empty(Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void A_stale_socket_is_replaced()
    {
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(SocketPath));
        }

        // .NET removes the file when it closes a socket that it bound.
        File.WriteAllText(SocketPath + ".lock", "");
        using (var dead = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            dead.Bind(new UnixDomainSocketEndPoint(SocketPath + "2"));
            File.Move(SocketPath + "2", SocketPath);
        }

        Assert.True(Path.Exists(SocketPath));
        using UnixListener listener = UnixListener.Bind(SocketPath, 1);
        using UnixStream client = UnixStream.Connect(SocketPath);
        using UnixStream? accepted = listener.Accept();
        Assert.NotNull(accepted);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_no_socket_stays(bool isDirectory)
    {
        if (isDirectory)
        {
            Directory.CreateDirectory(SocketPath);
        }
        else
        {
            File.WriteAllText(SocketPath, "a disk");
        }

        IOException e = Assert.Throws<IOException>(() => UnixListener.Bind(SocketPath, 1));
        Assert.Contains($"{SocketPath} is there already and is no socket", e.Message, StringComparison.Ordinal);
        Assert.Equal(SocketPath, Assert.Single(Directory.GetFileSystemEntries(_folder)));
        Assert.True(isDirectory || File.ReadAllText(SocketPath) == "a disk");
    }

    [Fact]
    public void A_socket_that_is_being_served_is_not_taken()
    {
        using UnixListener first = UnixListener.Bind(SocketPath, 1);
        LinuxException e = Assert.Throws<LinuxException>(() => UnixListener.Bind(SocketPath, 1));
        Assert.Contains("served by another process", e.Message, StringComparison.Ordinal);
        using UnixStream client = UnixStream.Connect(SocketPath);
        Assert.NotNull(first.Accept());
    }

    [Fact]
    public void A_failed_bind_leaves_nothing_behind()
    {
        Directory.CreateDirectory(SocketPath);
        Assert.Throws<IOException>(() => UnixListener.Bind(SocketPath, 1));
        Assert.Equal([SocketPath], Directory.GetFileSystemEntries(_folder));
        Assert.Throws<LinuxException>(() => UnixListener.Bind(Path.Combine(_folder, "missing", "s"), 1));
        Assert.Throws<LinuxException>(() => UnixListener.Bind(Path.Combine(_folder, new string('x', 108)), 1));
        Assert.Equal([SocketPath], Directory.GetFileSystemEntries(_folder));
    }

    [Fact]
    public void A_listening_descriptor_can_be_taken_over_and_nothing_else()
    {
        using UnixListener original = UnixListener.Bind(SocketPath, 1);
        FileDescriptor copy = Duplicate(original.Fd);
        using (UnixListener listener = UnixListener.FromFd(copy.Value))
        {
            // Ownership went over.
            copy.SetHandleAsInvalid();
            using UnixStream client = UnixStream.Connect(SocketPath);
            using UnixStream? accepted = listener.Accept();
            Assert.NotNull(accepted);
            Assert.Null(listener.Accept());
        }

        Assert.True(Path.Exists(SocketPath));
        Assert.Throws<LinuxException>(() => UnixListener.FromFd(99999));
        using FileStream file = File.Create(Path.Combine(_folder, "file"));
        Assert.Throws<LinuxException>(() => UnixListener.FromFd((int)file.SafeFileHandle.DangerousGetHandle()));
    }

    [Fact]
    public void Descriptors_arrive_in_order_and_are_the_same_files()
    {
        string path = Path.Combine(_folder, "content");
        File.WriteAllText(path, "hello");
        using FileStream file = File.OpenRead(path);
        using UnixListener listener = UnixListener.Bind(SocketPath, 1);
        using UnixStream client = UnixStream.Connect(SocketPath);
        using UnixStream server = listener.Accept()!;
        int fd = (int)file.SafeFileHandle.DangerousGetHandle();
        Assert.Equal(1, client.Send("x"u8, [fd, fd]));
        var received = new List<FileDescriptor>();
        Assert.Equal(1, server.Receive(new byte[8], received));
        Assert.Equal(2, received.Count);
        Assert.All(received, d => Assert.Equal(path, File.ResolveLinkTarget($"/proc/self/fd/{d.Value}", false)!.FullName));
        Assert.Equal(UnixStream.WouldBlock, server.Receive(new byte[8], received));
        client.Dispose();
        Assert.Equal(0, server.Receive(new byte[8], received));
        received.ForEach(d => d.Dispose());
        Assert.Throws<ArgumentOutOfRangeException>(() => server.Send("x"u8, new int[254]));
    }

    [Fact]
    public void New_files_are_for_the_owner_only_under_the_mask()
    {
        uint before = FileCreationMask.Set(FileCreationMask.OwnerOnly);
        try
        {
            using UnixListener listener = UnixListener.Bind(SocketPath, 1);
            Assert.Equal(UnixFileMode.None, File.GetUnixFileMode(SocketPath) & (UnixFileMode)0b111111);
        }
        finally
        {
            Assert.Equal(FileCreationMask.OwnerOnly, FileCreationMask.Set(before));
        }
    }

    /// <summary>A second descriptor of the same file: the kernel makes one of each that a message carries.</summary>
    private FileDescriptor Duplicate(int fd)
    {
        using UnixListener courier = UnixListener.Bind(SocketPath + ".courier", 1);
        using UnixStream sender = UnixStream.Connect(SocketPath + ".courier");
        using UnixStream receiver = courier.Accept()!;
        Assert.Equal(1, sender.Send("x"u8, [fd]));
        var received = new List<FileDescriptor>();
        Assert.Equal(1, receiver.Receive(new byte[1], received));
        return Assert.Single(received);
    }
}
