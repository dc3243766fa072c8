using System.IO.Pipes;
using System.Text;
using Cnvm.Linux;

namespace Cnvm.Api.Tests;

/// <summary>Descriptors that come along with requests and that nobody takes are closed: the other end of a pipe then reads its end.</summary>
public sealed class DescriptorTests : IDisposable
{
    private const string Ping = "GET /api/v1/vmm.ping HTTP/1.1\r\n\r\n";
    private readonly ServerFixture _server = new();
    private readonly AnonymousPipeServerStream _pipe = new(PipeDirection.In);

    public void Dispose()
    {
        _pipe.Dispose();
        _server.Dispose();
    }

    [Theory]
    [InlineData(1, Ping)]
    [InlineData(253, Ping)]
    [InlineData(253, "PUT /api/v1/vm.delete HTTP/1.1\r\n\r\n")]
    [InlineData(3, "GET /api/v1/nowhere HTTP/1.1\r\n\r\n")]
    [InlineData(2, "no HTTP at all\r\n\r\n")]
    public void Unexpected_descriptors_are_closed_with_the_request(int count, string request)
    {
        using UnixStream client = UnixStream.Connect(_server.SocketPath);
        SendWithWriteEnd(client, request, count);
        DropWriteEnd();
        Assert.Equal(0, _pipe.Read(new byte[1]));
    }

    [Fact]
    public void Descriptors_are_collected_over_several_reads_and_what_is_too_much_is_closed()
    {
        using UnixStream client = UnixStream.Connect(_server.SocketPath);
        SendWithWriteEnd(client, "GET /api/v1/vmm.ping", 253);
        SendWithWriteEnd(client, " HTTP/1.1\r\n", 253);
        SendWithWriteEnd(client, "\r\n", 1);
        DropWriteEnd();
        Assert.Equal(0, _pipe.Read(new byte[1]));
        Assert.StartsWith("HTTP/1.1 200 \r\n", Read(client), StringComparison.Ordinal);
    }

    [Fact]
    public void Descriptors_of_a_request_that_never_ends_are_closed_with_its_connection()
    {
        using (UnixStream client = UnixStream.Connect(_server.SocketPath))
        {
            SendWithWriteEnd(client, "GET /api", 10);
        }

        DropWriteEnd();
        Assert.Equal(0, _pipe.Read(new byte[1]));
    }

    [Fact]
    public void No_descriptor_is_lost_over_many_connections()
    {
        int before = OpenDescriptors();
        for (int i = 0; i < 50; i++)
        {
            using UnixStream client = UnixStream.Connect(_server.SocketPath);
            SendWithWriteEnd(client, Ping, 20);
            Assert.StartsWith("HTTP/1.1 200 \r\n", Read(client), StringComparison.Ordinal);
        }

        // The server closes the last connection when it sees it end; other tests of this process may open a few of their own.
        using (RawClient last = _server.Connect())
        {
            last.Request("GET", "vmm.ping");
        }

        Assert.InRange(OpenDescriptors(), 0, before + 100);
    }

    private static int OpenDescriptors() => Directory.GetFiles("/proc/self/fd").Length;

    private static string Read(UnixStream client)
    {
        byte[] buffer = new byte[4096];
        return Encoding.ASCII.GetString(buffer, 0, client.Receive(buffer, []));
    }

    private void SendWithWriteEnd(UnixStream client, string text, int count)
    {
        int fd = (int)_pipe.ClientSafePipeHandle.DangerousGetHandle();
        int[] fds = [.. Enumerable.Repeat(fd, count)];
        byte[] bytes = Encoding.ASCII.GetBytes(text);
        Assert.Equal(bytes.Length, client.Send(bytes, fds));
    }

    private void DropWriteEnd() => _pipe.DisposeLocalCopyOfClientHandle();
}
