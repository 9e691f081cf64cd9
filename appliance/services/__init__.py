"""What may happen, and the waiting: asyncio begins here."""
