using System.Net.Sockets;
using System.Text;
using Cnvm.Bench.Machines;

namespace Cnvm.Bench.Figures;

/// <summary>
/// vm.create and vm.boot of a machine with one vCPU and a disk, on a process that waits for them, until the second answer; against the ten
/// seconds that Kata gives both.
/// </summary>
internal sealed class ApiBoot(Workspace workspace) : Experiment
{
    private const string BudgetSide = "budget";
    private const double BudgetMilliseconds = 10_000;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);
    private readonly CnvmVmm _machine = new();
    private int _count;

    public override IReadOnlyList<Measure> Measures { get; } =
        [new("api-create-boot", "ms", "vm.create and vm.boot, elapsed until both are answered")];

    public override IReadOnlyList<string> Sides { get; } = ["cnvm", BudgetSide];

    protected override double[] Sample(string side)
    {
        if (side == BudgetSide)
        {
            return [BudgetMilliseconds];
        }

        string disk = workspace.File($"boot-{_count}.raw");
        using (FileStream file = File.Create(disk))
        {
            file.SetLength(1 << 20);
        }

        string path = workspace.File($"boot-{_count++}");
        using Child child = _machine.Start(workspace, new GuestPlan { ControlSocket = path }, Limit);
        using Socket socket = ApiStart.Connect(child, path);
        socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
        string config = $$$"""
            {"payload":{"kernel":"{{{workspace.Image(Payload.Image)}}}","cmdline":"{{{Payload.Nothing}}}"},"memory":{"size":{{{GuestPlan.MemoryMiB << 20}}}},
            "disks":[{"path":"{{{disk}}}","image_type":"Raw"}],"serial":{"mode":"Null"},"console":{"mode":"Off"}}
            """;
        long asked = Child.Now;
        Put(child, socket, "vm.create", config);
        Put(child, socket, "vm.boot", "");
        return [(Child.Now - asked) / 1e6];
    }

    private static void Put(Child child, Socket socket, string call, string body)
    {
        string answer = ApiLatency.Ask(
            child,
            socket,
            $"PUT /api/v1/{call} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}",
            last: '\n');
        if (!answer.StartsWith("HTTP/1.1 204", StringComparison.Ordinal))
        {
            throw new MeasurementException($"{call} was answered with '{answer.Split('\r')[0]}'");
        }
    }
}
