using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Cnvm.Bench.Figures;

namespace Cnvm.Bench.Machines;

/// <summary>
/// cnvm with a machine that has written to all of its memory but the first 64 MiB and then leaves guest mode all the time; or an empty one
/// that a snapshot is restored into. Driven by the API.
/// </summary>
internal sealed class SnapshotGuest : IDisposable
{
    private const ulong FillBase = 64 << 20;
    private const string DebugPort = "0xe9";
    private const string NoPort = "0x5e0";

    // What the payload writes all the time.
    private const string Beat = "\0";
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);
    private const string HeadEnd = "\r\n\r\n";
    private const string Length = "Content-Length: ";
    private readonly byte[] _buffer = new byte[65536];
    private readonly Child _child;
    private readonly Socket _socket;

    private SnapshotGuest(Workspace workspace, string controlSocket)
    {
        _child = new CnvmVmm().Start(workspace, new GuestPlan { ControlSocket = controlSocket }, Limit);
        _socket = ApiStart.Connect(_child, controlSocket);
        _socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
    }

    public int ProcessId => _child.Id;

    /// <summary>Boots the machine; it has filled its memory.</summary>
    /// <param name="prints">It prints all the time, so that one sees it go on; pause it before the pipe is full.</param>
    public static SnapshotGuest Boot(Workspace workspace, string controlSocket, int memoryMiB, bool prints = false)
    {
        var guest = new SnapshotGuest(workspace, controlSocket);
        try
        {
            ulong pages = (((ulong)memoryMiB << 20) - FillBase) >> 12;
            string config = $$$"""
                {"payload":{"kernel":"{{{workspace.Image(Payload.Image)}}}",
                            "cmdline":"dirty={{{pages}}} base={{{FillBase}}} rounds=1 beat={{{(prints ? DebugPort : NoPort)}}} console=e9"},
                 "memory":{"size":{{{(long)memoryMiB << 20}}}},
                 "serial":{"mode":"Null"},"console":{"mode":"Off"},"debug_console":{"mode":"Tty"}}
                """;
            guest.Put("vm.create", config);
            guest.Put("vm.boot");
            guest._child.WaitFor("payload: beat");
            return guest;
        }
        catch
        {
            guest.Dispose();
            throw;
        }
    }

    /// <summary>A process that waits for <see cref="Restore"/>.</summary>
    public static SnapshotGuest Empty(Workspace workspace, string controlSocket) => new(workspace, controlSocket);

    /// <summary>Takes a snapshot of the paused machine; returns nanoseconds until the answer.</summary>
    public long Snapshot(string folder, string keys = "") => Put("vm.snapshot", $$"""{"destination_url":"file://{{folder}}"{{keys}}}""");

    /// <summary>Restores and resumes; returns nanoseconds, elapsed and of processor time, until the guest's first output has come through a pipe.</summary>
    public (long Elapsed, long Processor) Restore(string folder, string mode)
    {
        long cpu = _child.ProcessorTime;
        long asked = Child.Now;
        Send(Request("vm.restore", $$"""{"source_url":"file://{{folder}}","memory_restore_mode":"{{mode}}","resume":true}"""));
        long elapsed = _child.WaitFor(Beat) - asked;
        return (elapsed, _child.ProcessorTime - cpu);
    }

    public void Pause() => Put("vm.pause");

    public void Resume() => Put("vm.resume");

    public void Dispose()
    {
        _socket.Dispose();
        _child.Dispose();
    }

    private long Put(string call, string body = "")
    {
        long asked = Child.Now;
        string answer = Ask(Request(call, body));
        long took = Child.Now - asked;
        return answer.StartsWith("HTTP/1.1 204", StringComparison.Ordinal)
            ? took
            : throw new MeasurementException($"{call} was answered with '{answer}'");
    }

    private static string Request(string call, string body) =>
        $"PUT /api/v1/{call} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}";

    private void Send(string request) => _socket.Send(Encoding.ASCII.GetBytes(request));

    private string Ask(string question)
    {
        Send(question);
        string text = "";
        int end;
        while ((end = text.IndexOf(HeadEnd, StringComparison.Ordinal)) < 0)
        {
            Receive();
        }

        int at = text.IndexOf(Length, 0, end, StringComparison.Ordinal);
        int length = at < 0 ? 0 : int.Parse(text.AsSpan(at + Length.Length, text.IndexOf('\r', at) - at - Length.Length), CultureInfo.InvariantCulture);
        while (text.Length < end + HeadEnd.Length + length)
        {
            Receive();
        }

        return text;

        void Receive()
        {
            int count = ApiStart.Receive(_child, _socket, _buffer);
            text += count > 0 ? Encoding.ASCII.GetString(_buffer, 0, count) : throw _child.Ended("closed its control socket");
        }
    }
}
