namespace Cnvm.Api.Json;

/// <summary>The answer to <c>vmm.events</c>.</summary>
/// <param name="Last">Number of the latest event: give it as <c>after</c> to wait for the next.</param>
/// <param name="Events">Oldest first.</param>
internal sealed record EventPage(ulong Last, IReadOnlyList<EventEntry> Events);
