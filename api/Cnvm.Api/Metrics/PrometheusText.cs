using System.Globalization;
using System.Text;
using Cnvm.Hypervisor;
using Cnvm.Vmm;
using Cnvm.Vmm.Metrics;

namespace Cnvm.Api.Metrics;

/// <summary>Figures in Prometheus's text format, version 0.0.4: the answer to <c>vmm.metrics</c>.</summary>
internal sealed class PrometheusText
{
    public const string ContentType = "text/plain; version=0.0.4";

    /// <summary>Counters of devices are in microseconds; the format's unit is the second.</summary>
    private const double MicrosecondsPerSecond = 1e6;

    private readonly StringBuilder _text = new(8192);

    private PrometheusText()
    {
    }

    public static byte[] Write(VmmPing ping, VmmMetrics vmm, ProcessFigures process, IEnumerable<ApiRoute> routes)
    {
        var writer = new PrometheusText();
        writer.WriteVm(ping, vmm);
        writer.WriteExits(vmm.Vcpus);
        writer.WriteDevices(vmm.Devices);
        writer.WriteCalls([.. routes]);
        writer.WriteProcess(process);
        return Encoding.ASCII.GetBytes(writer._text.ToString());
    }

    private void WriteVm(VmmPing ping, VmmMetrics vmm)
    {
        Family("cnvm_info", "gauge", "Version of the VMM.");
        Sample($"cnvm_info{{version=\"{Escape(ping.BuildVersion)}\"}}", 1);
        Family("cnvm_vm_state", "gauge", "1 for the state that the VM is in; all 0 when there is none.");
        foreach (VmState state in (ReadOnlySpan<VmState>)[VmState.Created, VmState.Running, VmState.Shutdown, VmState.Paused, VmState.BreakPoint])
        {
            Sample($"cnvm_vm_state{{state=\"{state}\"}}", vmm.State == state ? 1 : 0);
        }

        Family("cnvm_vm_memory_bytes", "gauge", "RAM that the guest has.");
        Sample("cnvm_vm_memory_bytes", vmm.MemoryBytes);
        Family("cnvm_vm_vcpus", "gauge", "vCPUs of the booted VM.");
        Sample("cnvm_vm_vcpus", vmm.Vcpus.Count);
    }

    private void WriteExits(IReadOnlyList<VcpuExitCounters> vcpus)
    {
        Family("cnvm_vcpu_exits_total", "counter", "Times that a vCPU left guest code, by reason.");
        for (int i = 0; i < vcpus.Count; i++)
        {
            VcpuExitCounters c = vcpus[i];
            foreach ((string kind, ulong count) in (ReadOnlySpan<(string, ulong)>)
                [
                    ("port_in", c.PortIn), ("port_out", c.PortOut), ("mmio_read", c.MmioRead), ("mmio_write", c.MmioWrite),
                    ("end_of_interrupt", c.EndOfInterrupt), ("interrupted", c.Interrupted), ("other", c.Other),
                ])
            {
                Sample(string.Create(CultureInfo.InvariantCulture, $"cnvm_vcpu_exits_total{{vcpu=\"{i}\",kind=\"{kind}\"}}"), count);
            }
        }
    }

    private void WriteDevices(IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> devices)
    {
        foreach (string counter in devices.SelectMany(d => d.Value.Keys).Distinct().Order(StringComparer.Ordinal).ToList())
        {
            // Latencies have a minimum, a maximum and an average since boot, which may sink; everything else only grows.
            bool isLatency = counter.Contains("_latency_", StringComparison.Ordinal);

            // A balloon's size and the guest's figures of its memory are what they are now.
            bool isLevel = counter.StartsWith("balloon_", StringComparison.Ordinal) || counter.StartsWith("guest_", StringComparison.Ordinal);
            string name = isLatency ? $"cnvm_device_{counter}_seconds" : isLevel ? $"cnvm_device_{counter}" : $"cnvm_device_{counter}_total";
            Family(name, isLatency || isLevel ? "gauge" : "counter", isLatency ? "Since boot." : isLevel ? "Now." : "Of a device, since boot.");
            foreach ((string id, IReadOnlyDictionary<string, ulong> counters) in devices)
            {
                if (counters.TryGetValue(counter, out ulong value))
                {
                    Sample($"{name}{{device=\"{Escape(id)}\"}}", isLatency ? value / MicrosecondsPerSecond : value);
                }
            }
        }
    }

    private void WriteCalls(IReadOnlyList<ApiRoute> routes)
    {
        Family("cnvm_api_request_duration_seconds", "histogram", "From a request's last byte to its answer.");
        foreach (ApiRoute route in routes)
        {
            WriteCalls(route);
        }

        Family("cnvm_api_errors_total", "counter", "Requests that were answered with an error.");
        foreach (ApiRoute route in routes)
        {
            Sample($"cnvm_api_errors_total{{endpoint=\"{route.Name}\",class=\"4xx\"}}", route.Latency.Refused);
            Sample($"cnvm_api_errors_total{{endpoint=\"{route.Name}\",class=\"5xx\"}}", route.Latency.Failed);
        }
    }

    private void WriteCalls(ApiRoute route)
    {
        CallLatency latency = route.Latency;
        long count = 0;
        for (int i = 0; i <= CallLatency.Bounds.Length; i++)
        {
            count += latency.Count(i);
            string bound = i < CallLatency.Bounds.Length ? CallLatency.Bounds[i].ToString(CultureInfo.InvariantCulture) : "+Inf";
            Sample($"cnvm_api_request_duration_seconds_bucket{{endpoint=\"{route.Name}\",le=\"{bound}\"}}", count);
        }

        Sample($"cnvm_api_request_duration_seconds_sum{{endpoint=\"{route.Name}\"}}", latency.TotalSeconds);
        Sample($"cnvm_api_request_duration_seconds_count{{endpoint=\"{route.Name}\"}}", count);
    }

    private void WriteProcess(ProcessFigures process)
    {
        Single("process_cpu_seconds_total", "counter", "Processor time, vCPUs included.", process.CpuSeconds);
        Single("process_resident_memory_bytes", "gauge", "Memory in RAM, the guest's included.", process.ResidentBytes);
        Single("cnvm_process_private_memory_bytes", "gauge", "Memory in RAM that is neither a file's nor shared.", process.PrivateBytes);
        Single("process_virtual_memory_bytes", "gauge", "Address space.", process.VirtualBytes);
        Single("process_open_fds", "gauge", "Open descriptors.", process.OpenDescriptors);
        Single("cnvm_process_threads", "gauge", "Threads.", process.Threads);
        Single("process_start_time_seconds", "gauge", "Start of the process since the epoch.", process.StartTimeSeconds);
        Single("cnvm_managed_heap_bytes", "gauge", "Heap of the .NET runtime.", GC.GetTotalMemory(forceFullCollection: false));
        Single("cnvm_managed_collections_total", "counter", "Collections of that heap.", GC.CollectionCount(0));
    }

    private void Single(string name, string type, string help, double value)
    {
        Family(name, type, help);
        Sample(name, value);
    }

    private void Family(string name, string type, string help) => _text.Append("# HELP ").Append(name).Append(' ').Append(help)
        .Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');

    private void Sample(string series, double value) => _text.Append(series).Append(' ').Append(CultureInfo.InvariantCulture, $"{value:R}").Append('\n');

    private void Sample(string series, ulong value) => _text.Append(series).Append(' ').Append(CultureInfo.InvariantCulture, $"{value}").Append('\n');

    private void Sample(string series, long value) => _text.Append(series).Append(' ').Append(CultureInfo.InvariantCulture, $"{value}").Append('\n');

    // A label's value is in double quotes. Names of devices come from users; what is not ASCII is escaped as in the JSON of the API.
    private static string Escape(string value)
    {
        var text = new StringBuilder(value.Length);
        foreach (char c in value)
        {
            _ = c switch
            {
                '\\' => text.Append("\\\\"),
                '"' => text.Append("\\\""),
                '\n' => text.Append("\\n"),
                < ' ' or > '~' => text.Append(CultureInfo.InvariantCulture, $"\\\\u{(int)c:X4}"),
                _ => text.Append(c),
            };
        }

        return text.ToString();
    }
}
