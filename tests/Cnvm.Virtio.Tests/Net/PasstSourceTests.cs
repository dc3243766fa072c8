using System.Text;
using Cnvm.Linux;
using Cnvm.Virtio.Net;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Virtio.Tests.Net;

/// <summary>A program that is started for an interface, with scripts in the place of passt(1); the real one is for guests (Soft.Passt).</summary>
public sealed unsafe class PasstSourceTests : IDisposable
{
    /// <summary>Takes the question, sends a frame of another kind and the answer, gives back what comes then, and ends with its connection.</summary>
    private const string Answering =
        """
        head -c 46 <&3 >"$here/question"
        printf '\0\0\0\x10\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\x09\x86\xdd\0\0' >&3
        printf '\0\0\0\x2a\x02\0\0\0\0\1\x02\0\0\0\0\x09\x08\x06\0\1\x08\0\6\4\0\2' >&3
        printf '\x02\0\0\0\0\x09\xc0\0\2\1\x02\0\0\0\0\1\0\0\0\0' >&3
        """;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private readonly string _folder = Directory.CreateTempSubdirectory("cnvm-passt-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void It_is_started_asked_and_used_and_ends_with_the_interface()
    {
        PasstOptions options = Program(Answering + "\ncat <&3 | cat >&3; echo ended >>\"$here/end\"") with
        {
            TcpPorts = ["8080:80", "127.0.0.1/22"],
            UdpPorts = ["53"],
            Address = "10.0.2.15/24",
            Gateway = "10.0.2.2",
        };
        using (StreamBackend backend = StreamBackend.Start("_net0", options, NullLogger.Instance))
        {
            Assert.True(backend.IsConnected);
            byte[] frame = [.. Enumerable.Range(0, 70).Select(i => (byte)i)];
            Assert.Equal(frame, Echoed(backend, frame));
        }

        // Its end was waited for.
        Assert.Equal("ended\n", File.ReadAllText(Path.Combine(_folder, "end")));
        Assert.Matches(
            "^--foreground --stderr --quiet --fd [0-9]+ --address 10[.]0[.]2[.]15 --netmask 24 --gateway 10[.]0[.]2[.]2 --tcp-ports 8080:80 --tcp-ports 127[.]0[.]0[.]1/22 --udp-ports 53\n$",
            File.ReadAllText(Path.Combine(_folder, "arguments")));
        byte[] question = File.ReadAllBytes(Path.Combine(_folder, "question"));
        Assert.Equal((byte[])[0, 0, 0, 42, 0xff, 0xff], question[..6]);
        Assert.Equal((byte[])[192, 0, 2, 1], question[42..]);
    }

    [Fact]
    public void What_it_says_when_it_refuses_is_the_error()
    {
        PasstOptions options = Program("echo 'Failed to bind any port for 80'>&2; exit 1");
        NetBackendException e = Assert.Throws<NetBackendException>(() => StreamBackend.Start("_net0", options, NullLogger.Instance));
        Assert.Contains("passt has ended: Failed to bind any port for 80", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_that_is_not_there_is_an_error_with_its_path()
    {
        string path = Path.Combine(_folder, "none");
        NetBackendException e = Assert.Throws<NetBackendException>(
            () => StreamBackend.Start("_net0", new PasstOptions { Program = path }, NullLogger.Instance));
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void One_that_ends_is_started_again()
    {
        // The first one ends with the first frame.
        PasstOptions options = Program(Answering + "\n[ -e \"$here/first\" ] && { cat <&3 | cat >&3; exit; }; touch \"$here/first\"; head -c 64 <&3 >/dev/null; echo 'out of luck' >&2");
        using StreamBackend backend = StreamBackend.Start("_net0", options, NullLogger.Instance);
        using SemaphoreSlim changed = new(0);
        backend.ConnectionChanged = () => changed.Release();
        byte[] frame = new byte[60];
        Assert.Equal(12 + 60, Write(backend, frame));
        Assert.True(changed.Wait(Patience));
        Assert.True(changed.Wait(Patience));
        Assert.True(backend.IsConnected);
        Assert.Equal(1UL, backend.Reconnects);
        Assert.Equal(frame, Echoed(backend, frame));
    }

    [Fact]
    public void One_that_says_nothing_is_at_work_and_one_that_does_not_end_is_ended()
    {
        int id;
        PasstOptions options = Program("echo $$ >\"$here/pid\"; trap '' HUP TERM; exec sleep 1000");
        using (StreamBackend backend = StreamBackend.Start("_net0", options, NullLogger.Instance))
        {
            Assert.True(backend.IsConnected);
            id = int.Parse(File.ReadAllText(Path.Combine(_folder, "pid")), System.Globalization.CultureInfo.InvariantCulture);
            Assert.True(Directory.Exists($"/proc/{id}"));
        }

        Assert.False(Directory.Exists($"/proc/{id}"));
    }

    [Theory]
    [InlineData("printf '\\0\\0\\0\\0' >&3")]
    [InlineData("printf '\\xff\\xff\\xff\\xff' >&3")]
    [InlineData("printf '\\0\\0\\0\\x10ab' >&3")]
    public void What_is_no_stream_of_frames_is_refused(string body)
    {
        PasstOptions options = Program(body + "; head -c 46 <&3 >/dev/null");
        Assert.Throws<NetBackendException>(() => StreamBackend.Start("_net0", options, NullLogger.Instance));
    }

    private PasstOptions Program(string body)
    {
        string path = Path.Combine(_folder, "passt");
        File.WriteAllText(path, $"#!/bin/bash\nhere='{_folder}'\necho \"$@\" >\"$here/arguments\"\nexec 3<&$5\n{body}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        return new PasstOptions { Program = path };
    }

    private static byte[] Echoed(StreamBackend backend, byte[] frame)
    {
        Assert.Equal(12 + frame.Length, Write(backend, frame));
        byte[] buffer = new byte[2048];
        PollEntry readable = new() { Fd = backend.GetReadFd(0), Events = PollEntry.In };
        while (true)
        {
            Assert.Equal(1, Poll.Wait(new Span<PollEntry>(ref readable), (int)Patience.TotalMilliseconds));
            fixed (byte* place = buffer)
            {
                IoVec vector = new() { Base = (nint)place, Length = (nuint)buffer.Length };
                nint got = backend.Read(0, &vector, 1);
                if (got > 0)
                {
                    return buffer[12..(int)got];
                }
            }
        }
    }

    private static nint Write(StreamBackend backend, byte[] frame)
    {
        byte[] bytes = [.. new byte[12], .. frame];
        fixed (byte* place = bytes)
        {
            IoVec vector = new() { Base = (nint)place, Length = (nuint)bytes.Length };
            return backend.Write(0, &vector, 1);
        }
    }
}
