using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// From the execution of the program until its control socket accepts a connection, and until it has answered the first request
/// (cnvm: GET vmm.ping; QEMU: the greeting). No guest runs.
/// </summary>
internal sealed class ApiStart(Workspace workspace) : Experiment
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);
    private readonly Vmm[] _machines = [new CnvmVmm(), QemuVmm.Microvm];
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("start-api-cpu", "ms", "program start to API socket accepting, processor time"),
        new("start-api-wall", "ms", "program start to API socket accepting, elapsed"),
        new("start-answer-cpu", "ms", "program start to the first answer on the API socket, processor time"),
        new("start-answer-wall", "ms", "program start to the first answer on the API socket, elapsed"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override int DefaultRounds => 15;

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        string path = workspace.File($"control-{_count++}");
        using Child child = machine.Start(workspace, new GuestPlan { ControlSocket = path }, Limit);
        using Socket socket = Connect(child, path);
        long accepted = Child.Now;
        long acceptedCpu = child.ProcessorTime;
        socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
        if (machine is CnvmVmm)
        {
            socket.Send(Encoding.ASCII.GetBytes("GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"));
        }

        byte[] answer = new byte[4096];
        int count = Receive(child, socket, answer);
        long answered = Child.Now;
        long answeredCpu = child.ProcessorTime;
        string text = Encoding.ASCII.GetString(answer, 0, count);
        string expected = machine is CnvmVmm ? "HTTP/1.1 200" : "{\"QMP\"";
        return text.StartsWith(expected, StringComparison.Ordinal)
            ? [acceptedCpu / 1e6, (accepted - child.Executed) / 1e6, answeredCpu / 1e6, (answered - child.Executed) / 1e6]
            : throw new MeasurementException($"{side} answered '{text.Split('\r')[0]}' instead of {expected}");
    }

    internal static int Receive(Child child, Socket socket, byte[] answer)
    {
        try
        {
            return socket.Receive(answer);
        }
        catch (SocketException e)
        {
            throw child.Ended($"closed its control socket ({e.SocketErrorCode})");
        }
    }

    /// <summary>Connects as soon as the program listens.</summary>
    internal static Socket Connect(Child child, string path)
    {
        var clock = Stopwatch.StartNew();
        var end = new UnixDomainSocketEndPoint(path);
        while (clock.Elapsed < Limit)
        {
            // Nothing tells another process of listen(2), so this looks again and again; the file is there just before it.
            if (File.Exists(path))
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                try
                {
                    socket.Connect(end);
                    return socket;
                }
                catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
                {
                    socket.Dispose();
                }
            }
            else if (child.HasExited)
            {
                break;
            }

            Libc.Pause(microseconds: 50);
        }

        throw child.Ended("did not accept on its control socket");
    }
}
