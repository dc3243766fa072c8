using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Cnvm.Bench.Figures;

namespace Cnvm.Bench.Machines;

/// <summary>QEMU's migration by QMP (docs/interop/qmp-spec).</summary>
internal sealed class QemuMigration : MigrationControl
{
    // Without a word QEMU sends 128 MiB/s at most.
    private const long Unlimited = 1L << 40;
    private readonly byte[] _buffer = new byte[65536];
    private readonly StringBuilder _text = new();
    private readonly Child _child;
    private readonly Socket _socket;

    public QemuMigration(Child child, string path)
    {
        _child = child;
        _socket = ApiStart.Connect(child, path);
        _socket.ReceiveTimeout = (int)Limit.TotalMilliseconds;
        _ = ReadLine();
        Ask("""{"execute":"qmp_capabilities"}""").Dispose();
    }

    public override void Receive(string url) => Ask($$$"""{"execute":"migrate-incoming","arguments":{"uri":"{{{url}}}"}}""").Dispose();

    public override MoveResult Send(string url, int downtimeMilliseconds)
    {
        Ask($$$"""{"execute":"migrate-set-parameters","arguments":{"downtime-limit":{{{downtimeMilliseconds}}},"max-bandwidth":{{{Unlimited}}}}}""").Dispose();
        Ask($$$"""{"execute":"migrate","arguments":{"uri":"{{{url}}}"}}""").Dispose();
        var clock = Stopwatch.StartNew();
        while (true)
        {
            using JsonDocument answer = Ask("""{"execute":"query-migrate"}""");
            JsonElement info = answer.RootElement.GetProperty("return");
            string status = info.TryGetProperty("status", out JsonElement s) ? s.GetString()! : "none";
            if (status == "completed")
            {
                double Figure(string name) => info.GetProperty(name).GetDouble();
                return new MoveResult(Figure("total-time"), Figure("downtime"), info.GetProperty("ram").GetProperty("transferred").GetDouble());
            }

            if (status is "failed" or "cancelled" || clock.Elapsed > Limit)
            {
                throw new MeasurementException($"the guest did not move: {info}");
            }

            Libc.Pause(microseconds: 2000);
        }
    }

    public override void Dispose() => _socket.Dispose();

    private JsonDocument Ask(string command)
    {
        _socket.Send(Encoding.ASCII.GetBytes(command + "\n"));
        while (true)
        {
            JsonDocument answer = JsonDocument.Parse(ReadLine());
            if (answer.RootElement.TryGetProperty("return", out _))
            {
                return answer;
            }

            using (answer)
            {
                // Events come in between.
                if (answer.RootElement.TryGetProperty("error", out JsonElement error))
                {
                    throw new MeasurementException($"{command} was answered with {error}");
                }
            }
        }
    }

    private string ReadLine()
    {
        int end;
        while ((end = _text.ToString().IndexOf('\n', StringComparison.Ordinal)) < 0)
        {
            int count = ApiStart.Receive(_child, _socket, _buffer);
            _text.Append(count > 0 ? Encoding.Latin1.GetString(_buffer, 0, count) : throw _child.Ended("closed its control socket"));
        }

        string line = _text.ToString(0, end);
        _text.Remove(0, end + 1);
        return line;
    }
}
