using System.Diagnostics;
using System.Text.Json;

namespace Cnvm.Bench.Machines;

/// <summary>cnvm's endpoints. Two connections: the answer to vm.receive-migration comes when all is over.</summary>
/// <param name="keys">More of both requests, in JSON, beginning with a comma.</param>
internal sealed class CnvmMigration(Child child, string path, string keys = "") : MigrationControl
{
    private readonly ApiConnection _api = new(child, path, Limit);
    private ApiConnection? _receiving;

    public override void Receive(string url)
    {
        _receiving = new ApiConnection(child, path, Limit);
        _receiving.Send("PUT", "vm.receive-migration", $$"""{"receiver_url":"{{url}}"{{keys}}}""");

        // There is something to say about it as soon as it listens.
        var clock = Stopwatch.StartNew();
        while (_api.Ask("GET", "vm.migration").Status != 200)
        {
            if (clock.Elapsed > Limit)
            {
                throw child.Ended("did not listen for a guest");
            }

            Libc.Pause(microseconds: 500);
        }
    }

    public override MoveResult Send(string url, int downtimeMilliseconds)
    {
        (int status, string answer) = _api.Ask(
            "PUT", "vm.send-migration", $$"""{"destination_url":"{{url}}","downtime_ms":{{downtimeMilliseconds}},"timeout_s":60,"wait":true{{keys}}}""");
        if (status != 200)
        {
            throw ApiConnection.Refused("vm.send-migration", status, answer);
        }

        using JsonDocument end = JsonDocument.Parse(answer);
        JsonElement info = end.RootElement;
        if (info.GetProperty("phase").GetString() != "Completed")
        {
            throw new MeasurementException($"the guest did not move: {answer}");
        }

        // A paused guest has no downtime.
        double downtime = info.TryGetProperty("downtime_ms", out JsonElement d) && d.ValueKind == JsonValueKind.Number ? d.GetDouble() : 0;
        return new MoveResult(info.GetProperty("elapsed_ms").GetDouble(), downtime, info.GetProperty("transferred_bytes").GetDouble());
    }

    public override void Dispose()
    {
        _receiving?.Dispose();
        _api.Dispose();
    }
}
