using System.Text.Json;
using Cnvm.Api;
using Cnvm.Api.Registry;
using Cnvm.Linux;

namespace Cnvm.Cli;

/// <summary>What <c>vm.info</c> says of a VM, as far as lists show it.</summary>
/// <param name="State">In lower case; <c>empty</c> for a VMM that has no VM, <c>silent</c> for one that does not answer.</param>
internal sealed record VmSummary(string State, ulong? Vcpus, ulong? MemoryBytes)
{
    private const int NotFound = 404;

    /// <summary>Asks a VMM; one that is stuck or just ending does not hold up the list.</summary>
    public static VmSummary Ask(VmEntry entry, int timeoutMilliseconds)
    {
        try
        {
            using CnvmClient client = CnvmClient.Connect(entry.ApiSocket);
            client.TimeoutMilliseconds = timeoutMilliseconds;
            using JsonDocument info = JsonDocument.Parse(client.Call("GET", "vm.info"));
            return Read(info.RootElement);
        }
        catch (ApiCallException e) when (e.Status == NotFound)
        {
            return new VmSummary("empty", null, null);
        }
        catch (Exception e) when (e is LinuxException or ApiCallException or JsonException)
        {
            return new VmSummary("silent", null, null);
        }
    }

    /// <summary>The state in an answer to <c>vm.info</c>; null if the VMM has no VM.</summary>
    public static string? AskState(CnvmClient client)
    {
        try
        {
            using JsonDocument info = JsonDocument.Parse(client.Call("GET", "vm.info"));
            return Read(info.RootElement).State;
        }
        catch (ApiCallException e) when (e.Status == NotFound)
        {
            return null;
        }
    }

    public static VmSummary Read(JsonElement info)
    {
        string state = info.TryGetProperty("state", out JsonElement s) ? (s.GetString() ?? "").ToLowerInvariant() : "unknown";
        ulong? vcpus = info.TryGetProperty("config", out JsonElement config) && config.TryGetProperty("cpus", out JsonElement cpus)
            && cpus.TryGetProperty("boot_vcpus", out JsonElement boot)
            ? boot.GetUInt64()
            : null;
        return new VmSummary(state, vcpus, info.TryGetProperty("memory_actual_size", out JsonElement memory) ? memory.GetUInt64() : null);
    }
}
