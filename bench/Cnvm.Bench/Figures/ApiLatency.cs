using System.Net.Sockets;
using System.Text;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// The smallest question to a VMM that is idle, on one connection: cnvm's GET vmm.ping, QEMU's query-status. From the first byte sent to
/// the last one received.
/// </summary>
internal sealed class ApiLatency(Workspace workspace) : Experiment
{
    private const int Questions = 2000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private readonly Vmm[] _machines = [new CnvmVmm(), QemuVmm.Microvm];
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
    [
        new("api-ping-p50", "us", "vmm.ping (QEMU: query-status), median of 2000"),
        new("api-ping-p99", "us", "vmm.ping (QEMU: query-status), 99th percentile of 2000"),
    ];

    public override IReadOnlyList<string> Sides => [.. _machines.Select(m => m.Name)];

    protected override double[] Sample(string side)
    {
        Vmm machine = _machines.First(m => m.Name == side);
        string path = workspace.File($"latency-{_count++}");
        using Child child = machine.Start(workspace, new GuestPlan { ControlSocket = path }, Limit);
        using Socket socket = ApiStart.Connect(child, path);
        socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
        bool isCnvm = machine is CnvmVmm;
        if (!isCnvm)
        {
            // The greeting, and then commands are taken.
            Read(child, socket, '\n');
            Ask(child, socket, "{\"execute\":\"qmp_capabilities\"}\n", '\n');
        }

        string question = isCnvm ? "GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n" : "{\"execute\":\"query-status\"}\n";
        string expected = isCnvm ? "HTTP/1.1 200" : "{\"return\": {";
        double[] microseconds = new double[Questions];
        for (int i = 0; i < Questions; i++)
        {
            long asked = Child.Now;
            string answer = Ask(child, socket, question, isCnvm ? '}' : '\n');
            microseconds[i] = (Child.Now - asked) / 1e3;
            if (!answer.StartsWith(expected, StringComparison.Ordinal))
            {
                throw new MeasurementException($"{side} answered '{answer.Split('\r')[0]}' instead of {expected}");
            }
        }

        Array.Sort(microseconds);
        return [microseconds[Questions / 2], microseconds[Questions * 99 / 100]];
    }

    internal static string Ask(Child child, Socket socket, string question, char last)
    {
        socket.Send(Encoding.ASCII.GetBytes(question));
        return Read(child, socket, last);
    }

    /// <param name="last">The character that an answer ends with.</param>
    private static string Read(Child child, Socket socket, char last)
    {
        byte[] buffer = new byte[4096];
        string text = "";
        while (!text.EndsWith(last))
        {
            int count = ApiStart.Receive(child, socket, buffer);
            text += count > 0 ? Encoding.ASCII.GetString(buffer, 0, count) : throw child.Ended("closed its control socket");
        }

        return text;
    }
}
