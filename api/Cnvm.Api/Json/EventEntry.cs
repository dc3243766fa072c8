using Cnvm.Vmm;

namespace Cnvm.Api.Json;

/// <summary>An event in the form of the event monitor, with its number.</summary>
internal sealed record EventEntry(
    ulong Number, EventTimestamp Timestamp, string Source, string Event, IReadOnlyDictionary<string, string>? Properties)
{
    public static EventEntry Of(RecordedEvent recorded) => new(
        recorded.Number, EventTimestamp.Of(recorded.SinceStart), recorded.Event.Source, recorded.Event.Name, recorded.Event.Properties);
}
